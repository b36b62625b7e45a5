"""The tables of turnout.toml that move traffic: what they come to, and their mistakes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turnout.base.errors import InvalidInput
from turnout.cli import projectfile
from turnout.cli.filemodels import json_schema
from turnout.wire import rollout as wire
from turnout.wire.project import Intent
from turnout.wire.rollout import Allowance, CanarySpec, CanaryStep, Rollout

CONTRACT = """
project = "storefront"

[build]                       # optional: run on the client before packaging
command = ["npm", "run", "build"]
output = "dist"               # what is packaged

[run]                         # absent: a static site
command = ["node", "server.js"]
port_env = "PORT"             # the instance is told its port here
instances = 2

[static]                      # static sites
spa = true                    # unknown paths without a file ending get index.html
headers = { "/assets/*" = { "Cache-Control" = "public, max-age=31536000, immutable" } }

[health]
path = "/healthz"             # static default: "/"
expect = 200
interval = "1s"
healthy_after = 2
deadline = "60s"

[environments.staging]
strategy = "blue-green"

[environments.production]
strategy = "canary"
hosts = ["web-1", "web-2"]

[environments.production.canary]
steps = [ { weight = 5, hold = "2m" }, { weight = 25, hold = "5m" }, { weight = 50, hold = "5m" } ]

[environments.production.analysis]
error_rate = { max_increase = "0.5%" }
latency_p99 = { max_increase = "20%" }
"""

EVERYTHING = """
project = "shop"

[run]
command = ["serve"]
exclusive = false
stateful = true

[rollout]
strategy = "auto"
watch = "30m"

[rollout.canary]
sticky = false
mirror = "10%"
mirror_hold = "1m"

[rollout.blue-green]
mirror = "0.4%"
analyse_before = "1m"

[[rollout.commands]]
name = "migrate"
command = ["./manage", "migrate"]
irreversible = true
timeout = "20m"

[environments.production]
strategy = "canary"
switch_at = 2026-12-01T03:00:00+01:00

[environments.production.canary]
steps = [{ weight = 1 }, { weight = 50, hold = "5m", approval = true }]
hold = "1m"
max_hold = "30m"
min_requests = 500
on_unknown = "abort"
baseline = true
scale = true
testers = [{ header = "X-Beta" }, { cookie = "beta", value = "1" }]

[environments.production.rolling]
batch = "25%"
max_surge = 2
max_unavailable = "10%"
pause = "5s"
verify = "30s"
order = "spread"

[environments.production.blue-green]
analyse_after = "10m"

[environments.production.analysis]
error_rate = { max = "2%", dry_run = true }
latency_p99 = false
latency_p95 = { max = "300ms", max_increase = "20%" }
alpha = "5%"
on_unavailable = "continue"

[[environments.production.analysis.metrics]]
name = "checkouts"
source = "prometheus"
url = "http://127.0.0.1:9090"
query = "sum(rate(checkouts_total[1m]))"
min = 3
interval = "15s"

[[environments.production.gates]]
name = "office-hours"
kind = "window"
before = "promotion"
days = ["mon", "tue"]
opens = "08:00"
closes = "17:30"
timezone = "Europe/Berlin"

[[environments.production.gates]]
name = "ask"
kind = "webhook"
hook = "confirm-promotion"
url = "https://hooks.example.org/ask"
timeout = "1h"
"""


def intent_of(text: str, environment: str = "production") -> Intent:
    return projectfile.intent(projectfile.parse(text.encode()), environment)


def test_the_example_of_the_contract_means_what_it_says() -> None:
    production = intent_of(CONTRACT)
    assert production.rollout.strategy == "canary"
    assert production.rollout.canary.steps == (
        CanaryStep(weight=5, hold=120),
        CanaryStep(weight=25, hold=300),
        CanaryStep(weight=50, hold=300),
    )
    analysis = production.rollout.analysis
    assert analysis.error_rate == Allowance(max_increase=0.005)
    assert analysis.latency_p99 == Allowance(max_increase=0.2)
    assert analysis.on_unknown == "hold" and analysis.min_requests == 100
    assert production.hosts == ("web-1", "web-2")
    assert intent_of(CONTRACT, "staging").rollout == Rollout()
    # The one thing that is not used is the table that a server app has no use for.
    (warning,) = projectfile.parse(CONTRACT.encode()).warnings
    assert "[static] is not used" in warning


def test_every_key_reaches_the_server() -> None:
    intent = intent_of(EVERYTHING)
    run, rollout = intent.component.run, intent.rollout
    assert run is not None and run.stateful and not run.exclusive
    assert rollout.watch == 1800
    assert rollout.switch_at == datetime(2026, 12, 1, 2, tzinfo=UTC)
    canary = rollout.canary
    assert canary.steps == (
        CanaryStep(weight=1, hold=60, max_hold=1800, min_requests=500, on_unknown="abort"),
        CanaryStep(
            weight=50, hold=300, max_hold=1800, min_requests=500, on_unknown="abort", approval=True
        ),
    )
    assert (canary.baseline, canary.scale, canary.sticky) == (True, True, False)
    assert (canary.mirror, canary.mirror_hold) == (10, 60)
    assert canary.testers == (wire.Tester(header="X-Beta"), wire.Tester(cookie="beta", value="1"))
    rolling = rollout.rolling
    assert (rolling.batch, rolling.max_surge, rolling.max_unavailable) == ("25%", 2, "10%")
    assert (rolling.pause, rolling.verify, rolling.order) == (5, 30, "spread")
    analysis = rollout.analysis
    assert analysis.error_rate == Allowance(max=0.02, dry_run=True)
    assert analysis.latency_p99 is None
    assert analysis.latency_p95 == Allowance(max=300, max_increase=0.2)
    assert (analysis.alpha, analysis.on_unavailable) == (0.05, "continue")
    (metric,) = analysis.metrics
    assert (metric.name, metric.min, metric.interval) == ("checkouts", 3, 15)
    window, ask = rollout.gates
    assert (window.days, window.opens, window.timezone) == (
        ("mon", "tue"),
        "08:00",
        "Europe/Berlin",
    )
    assert (ask.hook, ask.timeout) == ("confirm-promotion", 3600)
    (command,) = rollout.commands
    assert (command.irreversible, command.timeout) == (True, 1200)
    assert command.command == ("./manage", "migrate")
    assert projectfile.parse(EVERYTHING.encode()).warnings == ()


def test_the_table_above_and_the_environments_own_are_merged_key_by_key() -> None:
    # A share below 1 % is mirrored as 1 %, the least there is, not as none.
    assert intent_of(EVERYTHING).rollout.blue_green.model_dump() == {
        "mirror": 1,
        "analyse_before": 60.0,
        "analyse_after": 600.0,
    }
    other = intent_of(EVERYTHING, "other").rollout
    assert (other.strategy, other.canary.mirror, other.gates) == ("auto", 10, ())
    assert [command.name for command in other.commands] == ["migrate"]


def test_an_automatic_schedule_takes_the_defaults_of_the_canary_to_its_analysis() -> None:
    rollout = intent_of(
        "project = 's'\n[rollout.canary]\nsteps = 'auto'\nmin_requests = 40\non_unknown = 'abort'\n"
        "hold = '1m'\nauto = { first = 2, interval = '10s', deadline = '2h' }\n"
        "[rollout.analysis]\non_unknown = 'continue'\n"
    ).rollout
    assert rollout.canary.steps == "auto"
    assert (rollout.canary.auto.first, rollout.canary.auto.deadline) == (2, 7200)
    assert (rollout.analysis.min_requests, rollout.analysis.on_unknown) == (40, "continue")


def test_a_hold_for_all_steps_goes_for_the_steps_that_stand_by_default() -> None:
    canary = intent_of("project = 's'\n[rollout.canary]\nmin_requests = 7\n").rollout.canary
    assert [step.weight for step in canary.steps if step != "auto"] == [
        step.weight for step in CanarySpec().steps if not isinstance(step, str)
    ]
    assert {step.min_requests for step in canary.steps if not isinstance(step, str)} == {7}
    assert {step.hold for step in canary.steps if not isinstance(step, str)} == {60}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[rollout]\nblue_green = {}",
            '3:1: unknown key "blue_green" in [rollout]; did you mean "blue-green"?',
        ),
        ("[rollout.blue-green]\nmiror = '1%'", 'in [rollout.blue-green]; did you mean "mirror"?'),
        ("[rollout.blue-green]\nmirror = '101%'", "3:10: rollout.blue-green.mirror must be at"),
        ("[rollout.canary]\nsteps = [{ weight = 0 }]", "weight must be at least 1, not 0"),
        ("[rollout.canary]\nsteps = [{ weight = 101 }]", "weight must be at most 100, not 101"),
        (
            "[rollout.canary]\nsteps = [{ weight = 9 }, { weight = 5 }]",
            "3:37: the weights of a canary rise, and 5 follows 9",
        ),
        ("[rollout.canary]\ntesters = [{ header = 'A', cookie = 'b' }]", "either a header or a"),
        ("[rollout.canary]\ntesters = [{ header = 'A B' }]", "the name of a header"),
        ("[rollout.canary]\nauto = { frist = 1 }", 'did you mean "first"?'),
        ("[rollout.rolling]\nbatch = 'many'", "3:9: rollout.rolling.batch must be a number from 0"),
        ("[rollout.rolling]\nmax_surge = true", "rollout.rolling.max_surge must be a number"),
        ("[rollout.rolling]\nmax_surge = -1", "rollout.rolling.max_surge must be a number from 0"),
        ("[rollout.analysis]\nalpha = '50%'", "rollout.analysis.alpha must be at most 20%"),
        ("[rollout.analysis]\nerror_rate = 5", "3:14: rollout.analysis.error_rate must be a table"),
        ("[rollout.analysis]\nlatency_p99 = { max = '20%' }", "latency_p99.max must be a duration"),
        (
            "[[rollout.analysis.metrics]]\nname = 'a'\nsource = 'http'\nurl = 'http://x/'",
            "2:1: rollout.analysis.metrics[0] does not fit together: a metric needs 'max' or 'min'",
        ),
        (
            "[[rollout.analysis.metrics]]\nname = 'a'\nsource = 'http'\nurl = 'ftp://x/'\nmax = 1",
            "an address that begins with http:// or https://",
        ),
        (
            "[[rollout.gates]]\nname = 'a'\nkind = 'webhook'",
            "2:1: rollout.gates[0] does not fit together: a webhook needs a url",
        ),
        ("[[rollout.gates]]\nname = 'a'\nkind = 'approval'\nbefore = 'lunch'", "or a weight such"),
        ("[[rollout.gates]]\nname = 'a'\nkind = 'window'\nopens = '8'", "a time of day such as"),
        ("[[rollout.gates]]\nname = 'a'\nkind = 'vote'", 'must be "approval", "command"'),
        (
            "[[rollout.gates]]\nname = 'a'\nkind = 'window'\ntimezone = 'Europe/Berlim'",
            "5:12: rollout.gates[0].timezone must be a time zone of the IANA database, such as",
        ),
        (
            "[[rollout.commands]]\nname='a'\ncommand=['x']\n[[rollout.commands]]\nname='a'\ncommand=['x']",
            "6:6: two commands are named 'a'",
        ),
        ("[[rollout.commands]]\nname = 'a'\ncommand = 'x'", "must be a list"),
        ("[rollout]\nswitch_at = 2026-12-01T03:00:00", "with its offset and without quotes"),
        ("[rollout]\nswitch_at = '3 o clock'", "3:13: rollout.switch_at must be a date and time"),
        ("[rollout.canary]\nsteps = 'fast'", 'steps must be a list of steps, or "auto"'),
        ("[rollout.canary]\nhold = '40d'", "rollout.canary.hold must be at most 30d"),
        ("[environments.p]\nwatch = '8d'", "3:9: environments.p.watch must be at most"),
        ("[run]\ncommand = ['x']\nexclusiv = true", 'did you mean "exclusive"?'),
    ],
)
def test_mistakes_name_the_place(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        intent_of("project = 's'\n" + text)
    assert says in caught.value.why


DOCUMENT = Path(__file__).parents[2] / "docs" / "turnout-toml.md"


def test_the_documents_examples_parse_and_every_key_is_in_it() -> None:
    text = DOCUMENT.read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        named = example if "project =" in example else "project = 's'\n" + example
        intent_of(named)
    tables = json_schema()["$defs"].values()
    for key in {key for table in tables for key in table["properties"]}:
        assert re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text), key


def test_the_documented_defaults_are_the_real_ones() -> None:
    assert Rollout().watch == 900 and Rollout().canary.auto.interval == 5
    assert Rollout().analysis.alpha == 0.01 and Rollout().analysis.min_requests == 100
    assert Rollout().rolling == wire.RollingSpec(batch=1, max_surge=1, max_unavailable=0)
    assert wire.GateSpec(name="a", kind="approval").timeout == 86400
