"""Random lives of one environment against a model that fits on a page.

Deployments, rollbacks, pauses, aborts, failures and restarts of the server in any order; after
each, what is live, what has traffic and what can be gone back to is what the model says.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.coordinator.hosts import GatedHost, bad
from tests.coordinator.rig import APP, Rig
from turnout.base.errors import Conflict, NotFound

T = TypeVar("T")
NAMES = st.sampled_from("abcd")


class Lives(RuleBasedStateMachine):
    """One environment; at most one deployment is held in its middle."""

    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="turnout-model-"))
        shutil.copy(self.migrated, self.directory / "turnout.db")
        self.host = GatedHost()
        self.rig = Rig(self.directory, self.host)
        # The model: what was ever live, in its order; what rollbacks went past; what is live.
        self.history: list[str] = []
        self.withdrawn: set[int] = set()
        self.live: int | None = None
        # The deployment that is held in its middle, the release it brings, and whether it is
        # paused.
        self.held: tuple[str, str] | None = None
        self.paused = False

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def start(self) -> None:
        self._do(self.rig.coordinator.launch())

    def teardown(self) -> None:
        for method in self.host.gates:
            self.host.open(method)
        self._do(self.rig.coordinator.close())
        self.rig.close()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    # What the model does when a release is confirmed, and when one is gone back to.

    def _confirmed(self, name: str) -> None:
        if self.live is None or self.history[self.live] != name:
            self.history.append(name)
            self.live = len(self.history) - 1

    def _way_back(self) -> int | None:
        if self.live is None:
            return None
        before = [
            at
            for at in range(self.live)
            if at not in self.withdrawn and self.history[at] != self.history[self.live]
        ]
        return before[-1] if before else None

    def _gone_back(self, at: int) -> None:
        # The newest entry of that release is the one that is live again.
        at = max(i for i, name in enumerate(self.history) if name == self.history[at])
        self.withdrawn |= set(range(at + 1, len(self.history)))
        self.withdrawn.discard(at)
        self.live = at

    @precondition(lambda self: self.held is None)
    @rule(name=NAMES)
    def deploy(self, name: str) -> None:
        found = self._do(self.rig.run(name))
        assert found.status == "succeeded", found.reason
        self._confirmed(name)

    @precondition(lambda self: self.held is None)
    @rule(name=NAMES, live_errors=st.booleans())
    def deploy_a_bad_one(self, name: str, live_errors: bool) -> None:
        revision = APP.revision(self.rig.release(f"bad {name}"))
        if live_errors:
            self.host.failing.add(revision)
        else:
            self.host.verdicts[revision] = bad()
        found = self._do(self.rig.run(f"bad {name}", verify=0.05))
        self.host.failing.discard(revision)
        self.host.verdicts.pop(revision, None)
        assert found.status == ("rolled_back" if live_errors else "failed"), found.reason

    @precondition(lambda self: self.held is None)
    @rule()
    def go_back(self) -> None:
        target = self._way_back()
        if target is None:
            with pytest.raises((Conflict, NotFound)):
                self._do(self.rig.rollback())
            return
        found = self._do(self.rig.go_back())
        assert found.status == "succeeded", found.reason
        self._gone_back(target)

    @precondition(lambda self: self.held is None)
    @rule(name=NAMES)
    def hold_one_in_its_middle(self, name: str) -> None:
        if self.live is not None and self.history[self.live] == name:
            return
        reached = self.host.shut("await_ready")
        deployment = self._do(self.rig.deploy(self.rig.release(name)))
        self._do(reached.wait())
        self.held = (deployment, name)
        self.paused = False

    @precondition(lambda self: self.held is not None and not self.paused)
    @rule()
    def pause(self) -> None:
        assert self.held is not None
        deployment = self.held[0]
        self._do(self.rig.coordinator.act(deployment, "pause", "", "ada"))  # type: ignore[arg-type]
        self.host.open("await_ready")
        self._do(self.rig.until(deployment, "deployment.paused"))
        self.paused = True

    @precondition(lambda self: self.held is not None)
    @rule()
    def let_it_go_on(self) -> None:
        assert self.held is not None
        deployment, name = self.held
        if self.paused:
            self._do(self.rig.coordinator.act(deployment, "resume", "", "ada"))  # type: ignore[arg-type]
        else:
            self.host.open("await_ready")
        assert self._do(self.rig.ended(deployment)).status == "succeeded"
        self.held = None
        self._confirmed(name)

    @precondition(lambda self: self.held is not None)
    @rule()
    def abort(self) -> None:
        assert self.held is not None
        self._do(self.rig.coordinator.act(self.held[0], "abort", "", "ada"))  # type: ignore[arg-type]
        assert self._do(self.rig.ended(self.held[0])).status == "aborted"
        if not self.paused:
            self.host.open("await_ready")
        self.held = None

    @precondition(lambda self: self.held is not None and self._way_back() is not None)
    @rule()
    def go_back_while_one_is_held(self) -> None:
        assert self.held is not None
        target = self._way_back()
        assert target is not None
        rollback = self._do(self.rig.rollback())
        assert self._do(self.rig.ended(self.held[0])).status == "aborted"
        if not self.paused:
            self.host.open("await_ready")
        assert self._do(self.rig.ended(rollback)).status == "succeeded"
        self.held = None
        self._gone_back(target)

    @rule()
    def restart(self) -> None:
        self._do(self.rig.coordinator.close())
        self.rig.close()
        self.rig = Rig(self.directory, self.host)
        self._do(self.rig.coordinator.launch())

    @invariant()
    def what_is_live_has_all_traffic(self) -> None:
        routes = self.host.routes.get("shop/production")
        if self.live is None:
            assert routes is None or not routes.weights
            return
        release = self.rig.release(self.history[self.live])
        assert routes is not None
        assert routes.weights == {APP.revision(release): 100}
        found = self._do(self.rig.coordinator.environment("shop", "production"))
        assert found.live_release == release
        back = self._way_back()
        expected = self.rig.release(self.history[back]) if back is not None else None
        assert found.previous_release == expected
        assert found.deployment == (self.held[0] if self.held else None)
        assert ("shop/production", APP.revision(release), 0) in self.host.instances


def _run(migrated: Path, examples: int, steps: int) -> None:
    Lives.migrated = migrated
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_few_random_lives(migrated: Path) -> None:
    _run(migrated, 3, 6)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_many_random_lives(migrated: Path) -> None:
    _run(migrated, 40, 20)
