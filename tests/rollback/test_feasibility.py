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
    lacking: int = 0,
    forced: bool = False,
) -> Feasibility:
    return rollback.feasibility(
        state, target, intent, kept=kept, hosts=hosts, lacking=lacking, since=since, forced=forced
    )


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
    assert [reason.split(" ")[0] for reason in found.reasons] == ["release", "its"]
    assert [reason.split(" ")[0] for reason in found.crossed] == ["'migrate'", "'mail'"]
    assert "dep-2" in found.crossed[0]


def test_only_the_point_of_no_return_can_be_forced() -> None:
    crossed = (Passed("dep-2", NEW.release, ("migrate",)),)
    assert not _ask(since=crossed).ok
    forced = _ask(since=crossed, forced=True)
    assert forced.ok
    assert any("migrate" in warning for warning in forced.warnings)
    assert not _ask(since=crossed, forced=True, kept=False).ok


def test_lost_files_matter_where_a_host_lacks_the_release() -> None:
    bare = _ask(lacking=3)
    assert not bare.ok
    assert "3 of its files" in bare.reasons[0]
    assert "web-1" in bare.reasons[0]
    holding = replace(STATE, hosts=(replace(HOST, releases=frozenset({OLD.release})),))
    held = _ask(holding, lacking=3)
    assert held.ok
    assert any("3 of its files" in warning for warning in held.warnings)
    assert _ask(kept=False, lacking=3).reasons == _ask(kept=False).reasons


def test_what_is_unusual_is_told() -> None:
    warned = _ask(replace(STATE, domains=("a.example", "b.example"))).warnings
    assert any("a.example, b.example" in warning for warning in warned)
    site = replace(NEW, static=True, instances=0)
    assert any("a static site" in warning for warning in _ask(replace(STATE, live=site)).warnings)


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
