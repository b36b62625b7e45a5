"""turnout.toml: what it comes to, and what its mistakes are called."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.base.errors import InvalidInput, NotFound
from turnout.cli import projectfile, tomlfile, workspace
from turnout.cli.filemodels import json_schema
from turnout.wire.project import Intent

FULL = """
project = "storefront"

[build]
command = ["npm", "run", "build"]
output = "dist"

[run]
command = ["node", "server.js"]
port_env = "PORT"
instances = 2
memory = "256MiB"
stop_grace = "5s"
env = { A = "1", B = "2" }

[health]
path = "/healthz"
expect = 200
interval = "500ms"
healthy_after = 2
deadline = "1m"

[[checks]]
name = "home"
path = "/"
contains = "hello"

[rollout]
keep_warm = "1h"
verify_max_error_rate = "2.5%"

[environments.staging]
strategy = "rolling"

[environments.production]
strategy = "canary"
hosts = ["web-1", "web-2"]
domains = ["www.example.org"]
drain = "0s"

[environments.production.run]
instances = 4
env = { B = "3" }

[environments.production.health]
deadline = "2m"

[environments.production.canary]
steps = [ { weight = 5, hold = "2m" }, { weight = 25, hold = "5m" } ]

[environments.production.analysis]
error_rate = { max_increase = "0.5%" }
latency_p99 = { max_increase = "20%" }
"""


def intent_of(text: str, environment: str = "production") -> Intent:
    return projectfile.intent(projectfile.parse(text.encode()), environment)


def test_the_top_and_then_the_environment() -> None:
    intent = intent_of(FULL)
    run = intent.component.run
    assert run is not None and intent.component.static is None
    assert run.command == ("node", "server.js")
    assert (run.instances, run.memory_bytes, run.stop_grace) == (4, 256 << 20, 5)
    assert run.variables == {"A": "1", "B": "3"}
    health = intent.component.health
    assert (health.path, health.interval, health.deadline) == ("/healthz", 0.5, 120)
    assert intent.rollout.strategy == "canary"
    assert (intent.rollout.keep_warm, intent.rollout.drain) == (3600, 0)
    assert intent.rollout.verify_max_error_rate == 0.025
    assert intent.hosts == ("web-1", "web-2") and intent.domains == ("www.example.org",)
    assert intent.checks[0].contains == "hello"


def test_an_environment_that_is_not_in_the_file() -> None:
    intent = intent_of(FULL, "dev")
    assert intent.environment == "dev"
    assert intent.component.run is not None and intent.component.run.instances == 2
    assert intent.rollout.strategy == "blue-green" and intent.domains == ()


def test_arguments_go_before_the_file() -> None:
    project = projectfile.parse(FULL.encode())
    intent = projectfile.intent(project, "production", name="other", strategy="blue-green")
    assert intent.project == "other" and intent.rollout.strategy == "blue-green"


def test_without_run_a_static_site() -> None:
    intent = intent_of('project = "s"\n[static]\nspa = true\nheaders = {"/a/*" = {X-A = "1"}}\n')
    static = intent.component.static
    assert static is not None and static.spa
    assert static.headers == {"/a/*": {"X-A": "1"}}
    assert intent_of('project = "s"').component.static is not None


def test_what_is_not_used_is_said() -> None:
    assert projectfile.parse(FULL.encode()).warnings == ()
    both = 'project = "s"\n[run]\ncommand = ["x"]\n[static]\nspa = true\n'
    assert "[static] is not used" in projectfile.parse(both.encode()).warnings[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: project is missing"),
        ("project = 'A b'", "1:11: project must be 1 to 40 lower-case"),
        ("project = 3", "1:11: project must be a text in quotes, not 3"),
        ("project = 's'\n[runn]\n", '2:2: unknown key "runn"; did you mean "run"?'),
        (
            "project = 's'\n[run]\ncommand = ['x']\n  portenv = 'A'",
            '4:3: unknown key "portenv" in [run]; did you mean "port_env"?',
        ),
        ("project = 's'\ninstances = 2", '2:1: unknown key "instances"; it belongs in [run]'),
        (
            "project = 's'\n[environments.p]\ninstances = 2",
            '3:1: unknown key "instances" in [environments.p]; it belongs in [environments.p.run]',
        ),
        (
            "project = 's'\n[health]\nproject = 'x'",
            '3:1: unknown key "project" in [health]; it belongs at the top',
        ),
        ("project = 's'\nxyzzy = 1", "the nearest known key is"),
        ("project = 's'\n[health]\ninterval = 1", "3:12: health.interval must be a duration"),
        ("project = 's'\n[health]\ninterval = '1ms'", "health.interval must be at least 0.05s"),
        ("project = 's'\n[health]\nexpect = true", "3:10: health.expect must be a whole number"),
        ("project = 's'\n[health]\nexpect = 600", "health.expect must be at most 599, not 600"),
        ("project = 's'\n[run]\ncommand = 'x'", "3:11: run.command must be a list"),
        ("project = 's'\n[run]\ncommand = []", "3:11: run.command"),
        ("project = 's'\n[run]\ninstances = 1", "run.command is missing"),
        ("project = 's'\n[run]\ncommand = ['a', 2]", "3:17: run.command[1] must be a text"),
        ("project = 's'\n[run]\ncommand=['a']\nmemory='1MB'", "run.memory must be at least 16MiB"),
        ("project = 's'\n[run]\ncommand=['a']\nenv={'A-B'='1'}", "the name of a variable"),
        ("project = 's'\n[[checks]]\npath = '/'", "2:1: checks[0].name is missing"),
        (
            "project='s'\n[[checks]]\nname='a'\npath='/'\n[[checks]]\nname='a'\npath='/'",
            "6:6: two checks are named 'a'",
        ),
        ("project = 's'\n[environments.Prod]\n", "2:15: environments.Prod must be"),
        (
            "project = 's'\n[environments.p]\nstrategy = 'fast'",
            '3:12: environments.p.strategy must be "auto", "blue-green", "rolling", "canary" or',
        ),
        ("project = 's'\n[environments.p]\ndomains = ['a.b', 'a.b']", "a domain is given twice"),
        ("project = 's'\n[environments.p.run]\ninstances = 2", "needs [run] above it"),
        ("project = 's'\n[environments.p.canary]\nsteps = 5", "3:9: environments.p.canary.steps"),
        (
            "project = 's'\n[environments.p.canary]\nsteps = [{weight = 5, hld = '1s'}]",
            '3:23: unknown key "hld" in [environments.p.canary.steps[0]]; did you mean "hold"?',
        ),
        ("project = 's'\nproject = 't'", "2:14: this is not TOML: Cannot overwrite a value"),
        ("project = ", "1:11: this is not TOML"),
        ("project = 's'\n[build", "2:7: this is not TOML"),
        ("a = [\n[\n", "this is not TOML"),
        ("project = '\x00'", "1:12: this is not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_mistakes_name_the_place(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        intent_of(text)
    assert says in caught.value.why
    assert caught.value.why.startswith("turnout.toml:")
    assert caught.value.next_step


def test_all_mistakes_at_once_in_order() -> None:
    with pytest.raises(InvalidInput) as caught:
        intent_of("project = 1\nfoo = 2\n[health]\npath = 'x'\nintervall = '1s'\n")
    lines = [mistake["line"] for mistake in caught.value.facts["mistakes"]]
    assert lines == [1, 2, 4, 5]


def test_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="mistake") as caught:
        projectfile.parse(b'project = "s"\nx = "\xff"\n')
    assert "turnout.toml:2:6: this is not UTF-8" in caught.value.why
    assert projectfile.parse(b'\xef\xbb\xbfproject = "s"').name == "s"


def test_huge_and_absent_files(tmp_path: Path) -> None:
    file = tmp_path / "turnout.toml"
    with pytest.raises(NotFound):
        projectfile.read(file)
    file.write_bytes(b"#" * (2 << 20))
    with pytest.raises(InvalidInput, match="too long"):
        projectfile.read(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidInput, match="is no file"):
        projectfile.read(file)


def test_thousands_of_mistakes_are_cut() -> None:
    with pytest.raises(InvalidInput) as caught:
        intent_of("project = 's'\n" + "".join(f"k{n} = 1\n" for n in range(3000)))
    assert caught.value.why.endswith("and 2980 more")


def test_no_control_character_reaches_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        intent_of('project = "s"\n"\\u001b[2J" = 1\n')
    assert "\x1b" not in caught.value.why


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        projectfile.parse(content)
    except InvalidInput as error:
        assert error.why.startswith("turnout.toml:")


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = resources.files("turnout.cli") / "schema" / "turnout.schema.json"
    assert json.loads(shipped.read_text("utf-8")) == json_schema(), (
        "python -m turnout.cli.filemodels > src/turnout/cli/schema/turnout.schema.json"
    )


def test_the_schema_has_no_null() -> None:
    assert "null" not in json.dumps(json_schema())


@pytest.mark.parametrize("kind", ["directory", "pipe", "dangling link", "too long"])
def test_what_is_no_readable_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "turnout.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to("gone")
    else:
        path.write_bytes(b"#" * (tomlfile.MAX_BYTES + 1))
    (tmp_path / "index.html").touch()
    with pytest.raises(InvalidInput) as caught:
        workspace.open_workspace(tmp_path, "production")
    assert str(path.name) in caught.value.subject
    assert caught.value.next_step
