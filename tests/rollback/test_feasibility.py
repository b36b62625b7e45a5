"""Whether a rollback can be done, and what a selective one is put together from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turnout import rollback
from turnout.base.errors import Conflict, InvalidInput
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.rollback import Feasibility, Passed, Version
from turnout.wire.project import Component, Intent, RunSpec, StaticSpec

OLD = Revision("0" * 16, "a" * 64, static=False, instances=1)
NEW = Revision("1" * 16, "b" * 64, static=False, instances=3)
INTENT = Intent(
    project="shop",
    environment="production",
    component=Component(run=RunSpec(command=("serve",))),
    hosts=("web-1",),
)
HOST = HostState(
    "web-1", instances={OLD.revision: frozenset({0}), NEW.revision: frozenset({0, 1, 2})}
)
STATE = ScopeState("shop/production", (HOST,), live=NEW)


def _ask(
    state: ScopeState = STATE,
    target: Revision = OLD,
    intent: Intent = INTENT,
    *,
    kept: bool = True,
    hosts: tuple[str, ...] = ("web-1",),
    since: tuple[Passed, ...] = (),
) -> Feasibility:
    return rollback.feasibility(state, target, intent, kept=kept, hosts=hosts, since=since)


def test_a_warm_kept_release_is_possible() -> None:
    found = _ask()
    assert found.ok
    assert found.warnings == ("each host runs 1 instances then, and 3 now",)


def test_every_reason_is_told() -> None:
    found = _ask(
        kept=False,
        hosts=("web-2",),
        since=(Passed("dep-1", NEW.release), Passed("dep-2", NEW.release, ("migrate", "mail"))),
    )
    assert not found.ok
    assert [reason.split(" ")[0] for reason in found.reasons] == [
        "release",
        "its",
        "'migrate'",
        "'mail'",
    ]
    assert "dep-2" in found.reasons[2]


def test_what_is_unusual_is_told() -> None:
    exclusive = replace(NEW, exclusive=True)
    warned = _ask(replace(STATE, live=exclusive, domains=("a.example", "b.example"))).warnings
    assert any("downtime" in warning for warning in warned)
    assert any("a.example, b.example" in warning for warning in warned)
    cold = replace(STATE, hosts=(replace(HOST, instances={}),))
    assert any("not warm" in warning for warning in _ask(cold).warnings)


SITE = Intent(project="shop", environment="production", component=Component(static=StaticSpec()))
THEN = Version("a" * 64, INTENT)
NOW = Version("b" * 64, INTENT.model_copy(update={"domains": ("shop.example",)}))


def test_code_and_configuration_go_back_alone_or_together() -> None:
    assert rollback.compose(NOW, THEN, None) == THEN
    assert rollback.compose(NOW, THEN, "code") == Version(THEN.release, NOW.intent)
    assert rollback.compose(NOW, THEN, "configuration") == Version(NOW.release, THEN.intent)


def test_what_would_change_nothing_is_refused() -> None:
    same_code = Version(NOW.release, THEN.intent)
    with pytest.raises(Conflict, match="code of then is what is live now"):
        rollback.compose(NOW, same_code, "code")


def test_code_and_configuration_have_to_fit() -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        rollback.compose(NOW, Version("a" * 64, SITE), "code")
