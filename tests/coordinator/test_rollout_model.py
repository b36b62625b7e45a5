"""Rollouts of every strategy under whatever people, traffic and outages do, in any order.

Whatever happens, each state says why it is there, until when, and what ends it; what it says
ends it does; and at the end of everything one release has all traffic and nobody holds the
environment.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.coordinator.hosts import GatedHost
from tests.coordinator.pumping import Pump
from tests.coordinator.rig import APP, Rig
from turnout.base.errors import Conflict, NotFound, Refused
from turnout.coordinator.acting import Verb
from turnout.wire.api import DeploymentDetail, RollbackRequest
from turnout.wire.rollout import (
    AnalysisSpec,
    AutoSchedule,
    BlueGreenSpec,
    CanarySpec,
    CanaryStep,
    CommandSpec,
    GateSpec,
    RollingSpec,
)

T = TypeVar("T")
assert APP.run is not None
TWO = APP.model_copy(update={"run": APP.run.model_copy(update={"instances": 2})})
ENDED = ("succeeded", "failed", "rolled_back", "aborted", "rejected")
VERBS: tuple[Verb, ...] = ("pause", "resume", "approve", "reject", "promote", "abort", "retry")
PATIENCE_S = 20.0
STEPS = (
    CanaryStep(weight=20, hold=0.1, max_hold=0.3),
    CanaryStep(weight=60, hold=0.1, max_hold=0.3, approval=True),
)
STRATEGIES: dict[str, dict[str, Any]] = {
    "blue-green": {},
    "blue-green judged": {
        "blue_green": BlueGreenSpec(mirror=20, analyse_before=0.1, analyse_after=0.1)
    },
    "rolling": {
        "strategy": "rolling",
        "rolling": RollingSpec(batch=1, max_surge=1, verify=0.1),
    },
    "canary": {"strategy": "canary", "canary": CanarySpec(steps=STEPS, baseline=True)},
    "canary auto": {
        "strategy": "canary",
        "canary": CanarySpec(steps="auto", auto=AutoSchedule(first=40, interval=1)),
    },
    "recreate": {"strategy": "recreate"},
}
EXTRAS: dict[str, dict[str, Any]] = {
    "": {},
    "approval": {"gates": (GateSpec(name="boss", kind="approval", before="switch"),)},
    "line": {"commands": (CommandSpec(name="migrate", command=("migrate",), irreversible=True),)},
}


class Rollouts(RuleBasedStateMachine):
    """One environment that people and traffic do everything to."""

    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="turnout-model-"))
        shutil.copy(self.migrated, self.directory / "turnout.db")
        self.host = GatedHost()
        self.host.made_up.requests = 400
        self.rig = Rig(self.directory, self.host, collects=False)
        self.pump = Pump(self.rig)
        self.pumping: asyncio.Task[None] | None = None
        self.names = 0

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def start(self) -> None:
        self._do(self._begin())
        self._do(self.rig.run("zero", TWO))

    async def _begin(self) -> None:
        await self.rig.coordinator.launch()
        self.pumping = asyncio.create_task(self.pump.work())

    def _open(self) -> list[DeploymentDetail]:
        page = self._do(self.rig.coordinator.list(limit=200))
        return [
            self._do(self.rig.coordinator.show(one.id))
            for one in reversed(page.items)
            if one.status not in ENDED
        ]

    @rule(
        strategy=st.sampled_from(sorted(STRATEGIES)),
        extra=st.sampled_from(sorted(EXTRAS)),
        errors=st.sampled_from((0.0, 0.0, 0.4)),
    )
    def deploy(self, strategy: str, extra: str, errors: float) -> None:
        # No precondition: what is open depends on the clock, and what is drawn must not.
        if len(self._open()) > 1:
            return
        self.names += 1
        release = self.rig.release(f"n{self.names}")
        self.host.made_up.errors[TWO.revision(release)] = errors
        changes = {
            **STRATEGIES[strategy],
            **EXTRAS[extra],
            "analysis": AnalysisSpec(latency_p99=None),
        }
        self._do(self.rig.deploy(release, TWO, **changes))

    @rule(verb=st.sampled_from(VERBS))
    def ask_for(self, verb: Verb) -> None:
        for one in self._open()[:1]:
            try:
                self._do(self.rig.coordinator.act(one.id, verb, "", "ada"))
            except Conflict as refusal:
                assert refusal.next_step or refusal.why or verb == "resume"

    @rule(choice=st.integers(0, 5))
    def take_a_way_out(self, choice: int) -> None:
        for one in self._open():
            wait = one.waiting_for
            if wait is None:
                continue
            verb = wait.ways_out[choice % len(wait.ways_out)]
            try:
                self._do(self.rig.coordinator.act(one.id, cast(Verb, verb), "", "ada"))
            except Conflict:
                # It went on by itself between the look and the word.
                assert self._do(self._left(one))
                continue
            assert self._do(self._left(one)), f"{verb} did not end {wait}"

    async def _left(self, before: DeploymentDetail) -> bool:
        """Return whether a deployment no longer waits for what it waited for."""
        until = self.loop.time() + PATIENCE_S
        assert before.waiting_for is not None
        while self.loop.time() < until:
            now = (await self.rig.coordinator.show(before.id)).waiting_for
            if now is None or (now.kind, now.name, now.since) != (
                before.waiting_for.kind, before.waiting_for.name, before.waiting_for.since
            ):  # fmt: skip
                return True
            await asyncio.sleep(0.02)
        return False

    @rule(force=st.booleans())
    def go_back(self, force: bool) -> None:
        wanted = RollbackRequest(project="shop", environment="production", force=force)
        try:
            self._do(self.rig.coordinator.rollback(wanted, "ada"))
        except (Conflict, NotFound, Refused) as refusal:
            assert refusal.why or refusal.next_step
            assert not (force and isinstance(refusal, Refused))

    @rule(silent=st.booleans())
    def measure(self, silent: bool) -> None:
        self.pump.silent = silent

    @rule(many=st.sampled_from((0, 400)))
    def traffic(self, many: int) -> None:
        self.host.made_up.requests = many

    @rule(seconds=st.sampled_from((0.05, 0.3)))
    def let_time_pass(self, seconds: float) -> None:
        self._do(asyncio.sleep(seconds))

    @rule()
    def restart(self) -> None:
        self._do(self._end())
        self.rig.close()
        self.rig = Rig(self.directory, self.host, collects=False)
        self.pump = Pump(self.rig)
        self._do(self._begin())

    async def _end(self) -> None:
        assert self.pumping is not None
        self.pumping.cancel()
        await asyncio.gather(self.pumping, return_exceptions=True)
        await self.rig.coordinator.close()

    @invariant()
    def every_state_says_why_until_when_and_what_ends_it(self) -> None:
        page = self._do(self.rig.coordinator.list(limit=200))
        for one in page.items:
            found = self._do(self.rig.coordinator.show(one.id))
            if found.status == "waiting":
                assert found.waiting_for is not None
                assert found.waiting_for.reason
                assert found.waiting_for.until is not None
                assert "abort" in found.waiting_for.ways_out
            else:
                assert found.waiting_for is None
            if found.status in ENDED:
                assert found.reason or found.status == "succeeded"
                assert found.split == ()
            elif found.split:
                total = sum(part.weight for part in found.split)
                assert total in (0, 100), found.split

    def teardown(self) -> None:
        try:
            self._do(self._everything_ends())
            weights = dict(self.host.routes["shop/production"].weights)
            environment = self._do(self.rig.coordinator.environment("shop", "production"))
            assert environment.deployment is None
            assert environment.live_release is not None
            assert weights == {TWO.revision(environment.live_release): 100}
            assert self.host.routes["shop/production"].mirror is None
        finally:
            self._do(self._end())
            self.rig.close()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.directory)

    async def _everything_ends(self) -> None:
        """Abort what is open; all of it has to end."""
        page = await self.rig.coordinator.list(limit=200)
        for one in page.items:
            if one.status in ENDED:
                continue
            try:
                await self.rig.coordinator.act(one.id, "abort", "", "ada")
            except Conflict:
                continue
        async with asyncio.timeout(40):
            for one in page.items:
                while (await self.rig.coordinator.show(one.id)).status not in ENDED:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)


def _run(migrated: Path, examples: int, steps: int) -> None:
    Rollouts.migrated = migrated
    run_state_machine_as_test(
        Rollouts,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # Time decides how far each gets, so a smaller example would seldom fail again.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_few_random_rollouts(migrated: Path) -> None:
    _run(migrated, 4, 12)


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_many_random_rollouts(migrated: Path) -> None:
    _run(migrated, 60, 30)
