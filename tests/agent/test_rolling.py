"""Instances exchanged one by one under load, by the wire alone: nobody notices, whoever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.agent.crowd import PATIENT_APP, Crowd, indexes
from tests.agent.realagent import RealAgent, app, instance, ready, routing
from turnout.base import failpoints
from turnout.base.errors import Unreachable
from turnout.targets.agent_host import AgentHost
from turnout.wire import agent as wire

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SCOPE, DOMAIN = "shop/production", "shop.localhost"
INDEXES = range(3)
OPERATIONS = ("drain", "stop", "start", "ready")
Result = TypeVar("Result")


@pytest.fixture
async def agent() -> AsyncIterator[RealAgent]:
    found = RealAgent()
    try:
        yield found
    finally:
        await found.end()


class Roller:
    """A coordinator's part: it asks, and asks again when nobody answers."""

    def __init__(self, agent: RealAgent, host: AgentHost, release: str) -> None:
        self.agent = agent
        self.host = host
        self.release = release
        self.revision = app().revision(release)
        self.repeated = 0
        self.crowd = Crowd(f"http://{agent.http[0]}:{agent.http[1]}", DOMAIN)

    async def do(self, call: Callable[[AgentHost], Awaitable[Result]]) -> Result:
        for _ in range(9):
            try:
                return await call(self.host)
            except Unreachable:
                self.repeated += 1
                await self.agent.start()
        raise AssertionError("it never went through")

    async def start(self, index: int) -> wire.InstanceFact:
        wanted = instance(SCOPE, self.release, app(), index)
        return await self.do(lambda host: host.ensure_instance(wanted))

    async def ready(self, index: int | None = None) -> None:
        wanted = ready(SCOPE, self.release, app()).model_copy(update={"index": index})
        found = await self.do(lambda host: host.await_ready(wanted))
        assert found.verdict == "good", found

    async def drain(self, index: int, deadline: float = 10) -> int:
        wanted = wire.DrainWanted(
            scope=SCOPE, revision=self.revision, index=index, deadline=deadline
        )
        return (await self.do(lambda host: host.drain(wanted))).left

    async def remove(self, index: int) -> None:
        gone = wire.InstanceGone(scope=SCOPE, revision=self.revision, index=index, grace=5)
        await self.do(lambda host: host.remove_instances(gone))

    async def facts(self) -> dict[int, wire.InstanceFact]:
        return {fact.index: fact for fact in (await self.do(AgentHost.facts)).instances}


async def three(agent: RealAgent) -> Roller:
    """Bring three instances live."""
    host = await agent.start()
    roller = Roller(agent, host, await agent.stage(host, SCOPE, {"server.py": PATIENT_APP}))
    for index in INDEXES:
        await roller.start(index)
    await roller.ready()
    await host.route(routing(SCOPE, (roller.release, app(), 100), domain=DOMAIN))
    return roller


@pytest.mark.parametrize("drained", [True, False])
async def test_every_instance_is_exchanged_and_no_request_fails(
    agent: RealAgent, drained: bool
) -> None:
    roller = await three(agent)
    crowd = roller.crowd
    silent = []
    async with crowd.asking():
        for index in (*INDEXES, *INDEXES):
            await crowd.until("index", index)
            if drained:
                assert await roller.drain(index) == 0
                assert (await roller.facts())[index].draining
            else:
                await roller.remove(index)
            out = time.monotonic()
            await roller.remove(index)
            assert index not in await roller.facts()
            fresh = await roller.start(index)
            silent.append((index, out, time.monotonic()))
            await roller.ready(index)
            pid = (await roller.facts())[index].pid
            assert (pid, (await roller.facts())[index].draining) == (fresh.pid, False)
            await crowd.until("pid", pid)
    assert crowd.failures == []
    assert [crowd.answered_by(*span) for span in silent] == [0] * 6
    assert len(crowd.answers) > 100


async def test_killed_agents_change_nothing_of_it(
    agent: RealAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [f"agent.{o}.{m}" for o in OPERATIONS for m in ("before", "inside", "after")]
    points = tmp_path / "points"
    monkeypatch.setenv(failpoints.VARIABLE, str(points))
    roller = await three(agent)
    points.write_text("".join(f"{moment}=kill\n" for moment in moments))
    before = await roller.facts()
    routes = (await roller.host.facts()).routes
    async with roller.crowd.asking():
        for index in INDEXES:
            # The first time it dies inside of the calls, the second time between them.
            for call in (roller.drain, roller.remove, roller.start, roller.ready):
                await call(index)
                if index == 1:
                    await agent.kill()
    after = await roller.facts()
    assert roller.crowd.failures == []
    done = {path.name.removeprefix("points.").removesuffix(".done") for path in tmp_path.iterdir()}
    assert done >= set(moments)
    assert roller.repeated >= len(moments) + 4
    assert sorted(after) == sorted(before) == list(INDEXES)
    assert not {fact.pid for fact in after.values()} & {fact.pid for fact in before.values()}
    assert {(fact.state, fact.draining) for fact in after.values()} == {("running", False)}
    assert (await roller.host.facts()).routes == routes
    assert await indexes(roller.crowd) == set(INDEXES)


async def test_an_instance_that_starts_gets_nothing_whoever_dies_meanwhile(
    agent: RealAgent,
) -> None:
    roller = await three(agent)
    await roller.remove(2)
    await roller.start(2)
    assert await indexes(roller.crowd) == {0, 1}
    for process in agent.processes():
        process.kill()
    psutil.wait_procs(agent.processes(), timeout=10)
    await agent.start()
    await roller.ready(0)
    await roller.ready(1)
    assert await indexes(roller.crowd) == {0, 1}
    await roller.ready(2)
    assert await indexes(roller.crowd) == {0, 1, 2}
    assert roller.crowd.failures == []


async def test_those_that_drain_get_nothing_also_after_a_power_cut(agent: RealAgent) -> None:
    roller = await three(agent)
    for index in (0, 1):
        assert await roller.drain(index) == 0
    assert await indexes(roller.crowd) == {2}
    for process in agent.processes():
        process.kill()
    psutil.wait_procs(agent.processes(), timeout=10)
    await agent.start()
    await roller.ready(2)
    facts = await roller.facts()
    assert [facts[index].draining for index in INDEXES] == [True, True, False]
    assert await indexes(roller.crowd) == {2}
    await roller.ready(0)
    assert await indexes(roller.crowd) == {0, 2}
    await roller.start(1)
    assert not (await roller.facts())[1].draining
    await roller.ready(1)
    assert await indexes(roller.crowd) == {0, 1, 2}
    assert roller.crowd.failures == []


async def test_a_request_under_way_is_counted_and_goes_on(agent: RealAgent) -> None:
    roller = await three(agent)
    async with roller.crowd.asking():
        await roller.crowd.until("index", 1)
        # Some of the clients ask for what takes 0.2 s; one of them is caught in the act.
        for _ in range(40):
            if left := await roller.drain(1, deadline=0):
                break
            await roller.ready(1)
        assert left > 0
        assert await roller.drain(1) == 0
    assert roller.crowd.failures == []


async def test_a_crashed_app_keeps_its_place_in_the_router(agent: RealAgent) -> None:
    roller = await three(agent)
    victim = (await roller.facts())[1]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    async with roller.crowd.asking():
        await roller.crowd.until("index", 1)
    now = (await roller.facts())[1]
    assert now.address == victim.address
    assert now.pid != victim.pid
