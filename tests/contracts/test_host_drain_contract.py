"""What every host promises of single instances: who gets requests, and from when on."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.agent.crowd import PATIENT_APP, Crowd, indexes
from tests.agent.realagent import RealAgent, app, instance, ready, routing
from tests.fakes.host import FakeHost
from turnout.targets.agent_host import AgentHost
from turnout.targets.port import Host
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio
SCOPE = "app/production"


@dataclasses.dataclass
class Setting:
    """A host with two instances of a release that is live."""

    host: Host
    tools: RealAgent
    release: str = ""

    @property
    def revision(self) -> str:
        return app().revision(self.release)

    async def start(self, index: int) -> wire.InstanceFact:
        return await self.host.ensure_instance(instance(SCOPE, self.release, app(), index))

    async def ready(self, index: int | None = None) -> str:
        wanted = ready(SCOPE, self.release, app()).model_copy(update={"index": index})
        return (await self.host.await_ready(wanted)).verdict

    async def drain(self, index: int | None) -> int:
        wanted = wire.DrainWanted(scope=SCOPE, revision=self.revision, index=index, deadline=5)
        return (await self.host.drain(wanted)).left

    async def remove(self, index: int) -> None:
        await self.host.remove_instances(
            wire.InstanceGone(scope=SCOPE, revision=self.revision, index=index, grace=5)
        )

    async def serving(self) -> set[int]:
        """Return the instances that new requests reach."""
        if isinstance(self.host, FakeHost):
            return self.host.serving(SCOPE, self.revision)
        http = self.tools.http
        crowd = Crowd(f"http://{http[0]}:{http[1]}", "app-production.localhost")
        found = await indexes(crowd)
        assert crowd.failures == []
        return found

    async def draining(self) -> dict[int, bool]:
        return {one.index: one.draining for one in (await self.host.facts()).instances}


@pytest.fixture(scope="module")
def _agent() -> Iterator[RealAgent]:
    agent = RealAgent()
    yield agent
    asyncio.run(agent.end())


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    fake = request.param == "fake"
    tools = RealAgent() if fake else request.getfixturevalue("_agent")
    found = Setting(FakeHost() if fake else await tools.start(), tools)
    found.release = await tools.stage(found.host, SCOPE, {"server.py": PATIENT_APP})
    for index in range(2):
        await found.start(index)
    assert await found.ready() == "good"
    await found.host.route(routing(SCOPE, (found.release, app(), 100)))
    yield found
    await found.host.unroute(SCOPE)
    await found.host.prune(wire.PruneWanted(scope=SCOPE, releases=(), revisions=()))
    if isinstance(found.host, AgentHost):
        await found.host.close()
    else:
        await tools.end()


async def test_one_more_gets_requests_when_it_was_ready(setting: Setting) -> None:
    await setting.start(2)
    assert await setting.serving() == {0, 1}
    assert await setting.ready(0) == "good"
    assert await setting.serving() == {0, 1}
    assert await setting.ready(2) == "good"
    assert await setting.serving() == {0, 1, 2}


async def test_the_same_instance_asked_for_again_keeps_its_requests(setting: Setting) -> None:
    await setting.start(1)
    assert await setting.serving() == {0, 1}


async def test_one_that_drains_gets_no_new_requests(setting: Setting) -> None:
    assert await setting.drain(1) == 0
    assert await setting.drain(1) == 0
    assert await setting.draining() == {0: False, 1: True}
    assert await setting.serving() == {0}


async def test_a_drain_is_taken_back_by_readiness(setting: Setting) -> None:
    await setting.drain(1)
    assert await setting.ready(1) == "good"
    assert await setting.draining() == {0: False, 1: False}
    assert await setting.serving() == {0, 1}


async def test_a_drain_is_taken_back_by_wanting_the_instance_again(setting: Setting) -> None:
    await setting.drain(1)
    fact = await setting.start(1)
    assert not fact.draining
    assert await setting.serving() == {0, 1}


async def test_a_drain_of_the_whole_revision_marks_none(setting: Setting) -> None:
    assert await setting.drain(None) == 0
    assert await setting.draining() == {0: False, 1: False}
    assert await setting.serving() == {0, 1}


async def test_a_removed_one_that_comes_again_waits_for_its_readiness(setting: Setting) -> None:
    await setting.drain(1)
    await setting.remove(1)
    await setting.remove(1)
    assert await setting.draining() == {0: False}
    assert await setting.serving() == {0}
    await setting.start(1)
    assert await setting.draining() == {0: False, 1: False}
    assert await setting.serving() == {0}
    assert await setting.ready(1) == "good"
    assert await setting.serving() == {0, 1}


async def test_one_that_is_not_there_can_be_drained_but_is_not_ready(setting: Setting) -> None:
    assert await setting.drain(5) == 0
    assert await setting.ready(5) == "unknown"
    assert await setting.draining() == {0: False, 1: False}


async def test_of_a_revision_that_was_never_ready_all_get_requests(setting: Setting) -> None:
    await setting.host.unroute(SCOPE)
    for index in range(2):
        await setting.remove(index)
        await setting.start(index)
    await setting.host.route(routing(SCOPE, (setting.release, app(), 100)))
    if isinstance(setting.host, FakeHost):  # a real one answers with failures at first
        assert await setting.serving() == {0, 1}
    assert await setting.ready() == "good"
    assert await setting.serving() == {0, 1}
