"""Many at once: nothing starves, nothing mixes, and memory stays small."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.agent.realagent import RealAgent, app, instance, python_app, ready, routing, site
from turnout.wire import agent as wire

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
async def agent() -> AsyncIterator[RealAgent]:
    found = RealAgent()
    try:
        yield found
    finally:
        await found.end()


async def test_a_hundred_sites_deployed_at_once_all_arrive(agent: RealAgent) -> None:
    host = await agent.start()
    scopes = [f"shop/e{n}" for n in range(100)]
    files = {"index.html": "<h1>one and the same</h1>"}
    packages = [await agent.package(host, scope, agent.project(files)) for scope in scopes]

    async def deploy(scope: str, number: int) -> None:
        staged = await host.stage(agent.trust(scope), packages[number])
        static = site().static
        assert static is not None
        revision = site().revision(staged.release)
        await host.ensure_site(
            wire.SiteWanted(scope=scope, revision=revision, release=staged.release, static=static)
        )
        assert (await host.await_ready(ready(scope, staged.release, site()))).verdict == "good"
        domain = f"e{number}.localhost"
        await host.route(routing(scope, (staged.release, site(), 100), domain=domain))

    async with asyncio.timeout(100):
        await asyncio.gather(*(deploy(scope, number) for number, scope in enumerate(scopes)))
    facts = await host.facts()
    assert len(facts.routes) == len(facts.sites) == 100
    assert len(facts.releases) == 1
    process = psutil.Process(await agent.pid())
    assert process.memory_info().rss < 120 << 20


async def test_twenty_instances_started_at_once_have_twenty_ports(agent: RealAgent) -> None:
    host = await agent.start()
    release = await agent.stage(host, "shop/production", python_app())
    wanted = [instance("shop/production", release, app(), index) for index in range(20)]
    facts = await asyncio.gather(*(host.ensure_instance(one) for one in wanted))
    assert len({fact.address for fact in facts}) == 20
    result = await host.await_ready(ready("shop/production", release, app()))
    assert result.verdict == "good"
    revision = app().revision(release)
    await host.remove_instances(wire.InstanceGone(scope="shop/production", revision=revision))
    assert (await host.facts()).instances == ()


async def test_a_large_package_is_never_whole_in_memory(agent: RealAgent) -> None:
    host = await agent.start()
    directory = agent.project({})
    for number in range(8):
        (directory / f"{number}.bin").write_bytes(os.urandom(32 << 20))
    path = await agent.package(host, "shop/production", directory)
    process = psutil.Process(await agent.pid())
    peak = 0
    staging = asyncio.create_task(host.stage(agent.trust("shop/production"), path))
    while not staging.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.01)
    assert (await staging).bytes == 256 << 20
    assert peak < 200 << 20


async def test_repeated_deployments_leave_memory_and_descriptors_flat(agent: RealAgent) -> None:
    host = await agent.start()
    process = psutil.Process(await agent.pid())
    seen = []
    for number in range(40):
        release = await agent.stage(host, "shop/production", python_app(str(number)))
        await host.ensure_instance(instance("shop/production", release, app()))
        revision = app().revision(release)
        await host.remove_instances(wire.InstanceGone(scope="shop/production", revision=revision))
        keep = wire.PruneWanted(scope="shop/production", releases=(release,), revisions=())
        await host.prune(keep)
        seen.append((process.memory_info().rss, process.num_fds(), process.num_threads()))
    assert seen[-1][0] - seen[15][0] < 4 << 20
    assert seen[-1][1] <= seen[15][1] + 2
    assert len([p for p in agent.processes() if "keeper" in " ".join(p.cmdline())]) == 0


async def test_forty_different_releases_staged_at_once_are_all_held(agent: RealAgent) -> None:
    host = await agent.start()
    scopes = [f"shop/e{n}" for n in range(40)]
    packages = [
        await agent.package(host, scope, agent.project({"same.txt": "same" * 999, "v": scope}))
        for scope in scopes
    ]
    calls = (
        host.stage(agent.trust(scope), package)
        for scope, package in zip(scopes, packages, strict=True)
    )
    staged = await asyncio.gather(*calls)
    assert {one.release for one in staged} == set((await host.facts()).releases)
    assert list((agent.data / "releases" / "incoming").iterdir()) == []
