"""The life of an agent: it comes and goes, and what it runs stays, whoever is killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx2
import psutil
import pytest

from tests.agent.conftest import eventually
from tests.agent.realagent import (
    RealAgent,
    app,
    instance,
    python_app,
    ready,
    routing,
    site,
    words_of,
)
from turnout.base.errors import Conflict, Failed, Unreachable
from turnout.targets.agent_host import AgentHost
from turnout.targets.local import agent_socket, ensure_agent, stop_agent
from turnout.wire import agent as wire

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SCOPE, STATIC = "shop/production", "site/production"


@pytest.fixture
async def agent() -> AsyncIterator[RealAgent]:
    found = RealAgent()
    try:
        yield found
    finally:
        await found.end()


async def live(agent: RealAgent, host: AgentHost) -> tuple[str, str]:
    """Bring an app and a static site live; return their releases."""
    release = await agent.stage(host, SCOPE, python_app())
    await host.ensure_instance(instance(SCOPE, release, app()))
    assert (await host.await_ready(ready(SCOPE, release, app()))).verdict == "good"
    await host.route(routing(SCOPE, (release, app(), 100), domain="shop.localhost"))
    page = await agent.stage(host, STATIC, {"index.html": "<h1>page</h1>"})
    component = site()
    assert component.static is not None
    await host.ensure_site(
        wire.SiteWanted(
            scope=STATIC,
            revision=component.revision(page),
            release=page,
            static=component.static,
        )
    )
    await host.route(routing(STATIC, (page, component, 100), domain="site.localhost"))
    return release, page


async def ask(agent: RealAgent, name: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        url = f"http://{agent.http[0]}:{agent.http[1]}/"
        return await client.get(url, headers={"Host": name}, timeout=5)


async def until_good(agent: RealAgent, name: str, seconds: float = 10) -> str:
    """Ask until it answers well again."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                answer = await ask(agent, name)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer.text
            await asyncio.sleep(0.02)


async def test_a_killed_agent_is_missed_by_nobody_and_adopts_everything(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    before = await host.facts()
    processes = {p.pid for p in agent.processes()} - {await agent.pid()}
    await agent.kill()
    assert (await ask(agent, "shop.localhost")).text.startswith("python 1")
    assert "page" in (await ask(agent, "site.localhost")).text
    with pytest.raises(Unreachable):
        await host.facts()
    await agent.start()
    after = await host.facts()
    assert after.instances == before.instances
    assert after.routes == before.routes
    assert after.sites == before.sites
    assert {p.pid for p in agent.processes()} - {await agent.pid()} == processes
    await host.remove_instances(
        wire.InstanceGone(scope=SCOPE, revision=before.instances[0].revision, index=0)
    )
    assert (await host.facts()).instances == ()


async def test_sigterm_ends_the_agent_alone(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    processes = {p.pid for p in agent.processes()} - {await agent.pid()}
    await stop_agent(agent.run, "local")
    assert {p.pid for p in agent.processes()} == processes
    assert not agent_socket(agent.run).exists()
    assert (await ask(agent, "shop.localhost")).status_code == 200


async def test_a_waiting_call_ends_when_the_agent_ends(agent: RealAgent) -> None:
    host = await agent.start()
    release = await agent.stage(host, SCOPE, {"server.py": "import time; time.sleep(600)"})
    await host.ensure_instance(instance(SCOPE, release, app()))
    waiting = asyncio.create_task(host.await_ready(ready(SCOPE, release, app())))
    await asyncio.sleep(0.3)
    begun = asyncio.get_running_loop().time()
    await stop_agent(agent.run, "local")
    with pytest.raises(Unreachable):
        await waiting
    assert asyncio.get_running_loop().time() - begun < 3


@pytest.mark.parametrize("victim", ["app", "keeper", "envoy", "caddy"])
async def test_whatever_is_killed_comes_back(agent: RealAgent, victim: str) -> None:
    host = await agent.start()
    await live(agent, host)
    (fact,) = (await host.facts()).instances
    for process in agent.processes():
        words = words_of(process)
        if (victim == "app" and process.pid == fact.pid) or (
            victim != "app" and (victim in process.name() or f"import {victim}" in words)
        ):
            process.kill()
            await asyncio.to_thread(process.wait, 10)
    assert (await until_good(agent, "shop.localhost")).startswith("python 1")
    assert "page" in await until_good(agent, "site.localhost")
    facts = await host.facts()
    assert (facts.router_alive, facts.origin_alive) == (True, True)
    (now,) = facts.instances
    assert now.state == "running"
    assert now.address == fact.address


async def test_after_a_power_cut_everything_is_started_again(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    for process in agent.processes():
        process.kill()
    psutil.wait_procs(agent.processes(), timeout=10)
    await agent.start()
    assert (await until_good(agent, "shop.localhost")).startswith("python 1")
    assert "page" in await until_good(agent, "site.localhost")


async def test_half_made_trees_are_swept(agent: RealAgent) -> None:
    host = await agent.start()
    release, _ = await live(agent, host)
    await agent.kill()
    left = [
        agent.data / "sites" / STATIC / ".part-0123456789abcdef-00",
        agent.data / "apps" / SCOPE / ".tmp-1-abc",
        agent.data / "apps" / SCOPE / ("f" * 16),  # a copy whose instances are gone
        agent.data / "instances" / SCOPE / ("f" * 16) / "0",  # no record: never begun
    ]
    for path in left:
        path.mkdir(parents=True)
        (path / "file").write_text("half")
    await agent.start()
    await asyncio.to_thread(eventually, lambda: not any(path.exists() for path in left))
    assert (await until_good(agent, "shop.localhost")).startswith("python 1")
    assert release in (await host.facts()).releases


async def test_a_second_agent_on_the_same_data_says_so(agent: RealAgent) -> None:
    await agent.start()
    second = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "turnout.agent", "--data", str(agent.data)),
            *("--socket", str(agent.run / "other.sock"), "--host", "local"),
            *("--http", f"127.0.0.1:{agent.http[1]}"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == Conflict.exit_code
    assert "Another agent runs on this data" in second.stderr
    assert str(await agent.pid()) in second.stderr


async def test_a_stale_socket_is_replaced_and_is_private(agent: RealAgent) -> None:
    path = agent_socket(agent.run)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    await agent.start()
    assert path.stat().st_mode & 0o777 == 0o600
    assert agent.run.stat().st_mode & 0o777 == 0o700


async def test_ensuring_an_agent_twice_at_once_gives_one(agent: RealAgent) -> None:
    await asyncio.gather(*(agent.start() for _ in range(3)))
    agents = [p for p in agent.processes() if "-m turnout.agent" in words_of(p)]
    assert len(agents) == 1


async def test_another_address_restarts_the_agent(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    first = await agent.pid()
    agent.http = ("127.0.0.1", agent.http[1] + 1)
    await agent.start()
    assert await agent.pid() != first
    assert (await until_good(agent, "shop.localhost")).startswith("python 1")


async def test_a_taken_port_is_said(agent: RealAgent) -> None:
    with socket.create_server(agent.http), pytest.raises(Conflict, match="taken") as caught:
        await ensure_agent(agent.data, agent.run, "local", agent.http)
    assert str(agent.http[1]) in str(caught.value)
    assert "--http" in caught.value.next_step
    assert agent.processes() == []


async def test_the_binaries_that_are_named_are_those_it_uses(
    agent: RealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TURNOUT_ENVOY", "TURNOUT_CADDY"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, "/nope")
            with pytest.raises(Failed, match="/nope") as caught:
                await ensure_agent(agent.data, agent.run, "local", agent.http)
        assert variable in caught.value.next_step
        assert agent.processes() == []


async def test_data_that_was_removed_under_the_agent_begins_anew(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    first = await agent.pid()
    shutil.rmtree(agent.data)
    host = await agent.start()
    assert await agent.pid() != first
    assert (await host.facts()).routes == ()
    await live(agent, host)
    assert (await until_good(agent, "shop.localhost")).startswith("python 1")
    assert "page" in await until_good(agent, "site.localhost")


async def test_a_deadly_signal_during_staging_leaves_nothing(agent: RealAgent) -> None:
    host = await agent.start()
    files = {f"{i}.txt": os.urandom(20000).hex() for i in range(300)}
    path = await agent.package(host, SCOPE, agent.project(files))
    staging = asyncio.create_task(host.stage(agent.trust(SCOPE), path))
    pid = await agent.pid()
    incoming = agent.data / "releases" / "incoming"
    await asyncio.to_thread(eventually, lambda: list(incoming.iterdir()))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable):
        await staging
    await agent.start()
    assert (await host.facts()).releases == ()
    assert list((agent.data / "releases" / "incoming").iterdir()) == []
    staged = await host.stage(agent.trust(SCOPE), path)
    assert staged.files == 300


async def test_a_sender_that_goes_away_leaves_nothing(agent: RealAgent) -> None:
    host = await agent.start()
    files = {f"{i}.txt": os.urandom(20000).hex() for i in range(300)}
    path = await agent.package(host, SCOPE, agent.project(files))
    whole = path.read_bytes()
    incoming = agent.data / "releases" / "incoming"
    _, writer = await asyncio.open_unix_connection(str(agent_socket(agent.run)))
    trust = agent.trust(SCOPE).model_dump_json().encode() + b"\n"
    size = len(trust) + len(whole)
    head = f"POST /wire/v1/stage HTTP/1.1\r\nHost: agent\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode() + trust + whole[: len(whole) // 2])
    await writer.drain()
    await asyncio.to_thread(eventually, lambda: list(incoming.iterdir()))
    writer.close()
    await asyncio.to_thread(eventually, lambda: not list(incoming.iterdir()))
    assert (await host.facts()).releases == ()
    assert (await host.stage(agent.trust(SCOPE), path)).files == 300


async def test_the_agent_is_small(agent: RealAgent) -> None:
    host = await agent.start()
    await live(agent, host)
    process = psutil.Process(await agent.pid())
    assert process.memory_info().rss < 80 << 20
    keeper = next(p for p in agent.processes() if "keeper" in words_of(p))
    assert keeper.memory_info().rss < 20 << 20
