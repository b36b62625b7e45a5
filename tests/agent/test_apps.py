"""Server apps under a real agent: what they are given, and how they start, fail and end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.agent.realagent import (
    RealAgent,
    app,
    instance,
    node_app,
    python_app,
    ready,
    routing,
    words_of,
)
from turnout.agent import ports
from turnout.base.errors import NotFound
from turnout.targets.agent_host import AgentHost
from turnout.wire import agent as wire
from turnout.wire.project import Component

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SCOPE = "shop/production"


@pytest.fixture
async def agent() -> AsyncIterator[RealAgent]:
    found = RealAgent()
    try:
        yield found
    finally:
        await found.end()


@pytest.fixture
async def host(agent: RealAgent) -> AgentHost:
    return await agent.start()


async def start(host: AgentHost, release: str, component: Component) -> wire.InstanceFact:
    fact = await host.ensure_instance(instance(SCOPE, release, component))
    result = await host.await_ready(ready(SCOPE, release, component))
    assert result.verdict == "good", result
    return fact


async def get(fact: wire.InstanceFact, path: str = "/") -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{fact.address}{path}")


async def test_a_python_app_gets_its_port_and_only_what_it_was_given(
    agent: RealAgent, host: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    component = app(variables={"GREETING": "hello"}, port_env="HTTP_PORT", open_files=512)
    fact = None
    with pytest.raises(AssertionError):  # this app reads PORT, which it was not given
        fact = await start(host, release, component)
    component = app(variables={"GREETING": "hello"})
    fact = await start(host, release, component)
    environment = (await get(fact, "/env")).json()
    environment.pop("LC_CTYPE", None)  # its own interpreter sets it
    directory = agent.data / "instances" / SCOPE / component.revision(release) / "0"
    assert environment == {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "GREETING": "hello",
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "PORT": fact.address.rpartition(":")[2],
        "TURNOUT_PROJECT": "shop",
        "TURNOUT_ENVIRONMENT": "production",
        "TURNOUT_RELEASE": release,
        "TURNOUT_INSTANCE": f"{SCOPE}/{component.revision(release)}/0",
    }
    assert ports.FIRST <= int(environment["PORT"]) <= ports.LAST


async def test_a_node_app_on_a_socket_goes_live(agent: RealAgent, host: AgentHost) -> None:
    release = await agent.stage(host, SCOPE, node_app())
    component = app("node", "server.js", socket_env="LISTEN")
    fact = await start(host, release, component)
    path = Path(fact.address.removeprefix("unix:"))
    assert path.is_socket() and len(str(path)) < 100
    await host.route(routing(SCOPE, (release, component, 100), domain="shop.localhost"))
    url = f"http://{agent.http[0]}:{agent.http[1]}/"
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(url, headers={"Host": "shop.localhost"})
    assert answer.text.startswith("node 1")
    await host.unroute(SCOPE)
    revision = component.revision(release)
    await host.remove_instances(wire.InstanceGone(scope=SCOPE, revision=revision))
    assert not path.exists()


async def test_an_app_writes_to_its_own_copy_only(agent: RealAgent, host: AgentHost) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    fact = await start(host, release, app())
    tree = agent.data / "releases" / "releases" / release / "tree"
    before = (tree / "server.py").read_bytes()
    assert (await get(fact, "/write")).text == "written"
    copy = agent.data / "apps" / SCOPE / app().revision(release)
    assert b"written by the app" in (copy / "server.py").read_bytes()
    assert (copy / "new.txt").exists()
    assert (tree / "server.py").read_bytes() == before
    assert not (tree / "new.txt").exists()


async def test_a_crash_loop_ends_the_wait_with_its_last_words(
    agent: RealAgent, host: AgentHost
) -> None:
    text = "import sys; print('cannot find the database', file=sys.stderr); sys.exit(3)"
    release = await agent.stage(host, SCOPE, {"server.py": text})
    await host.ensure_instance(instance(SCOPE, release, app()))
    result = await host.await_ready(ready(SCOPE, release, app()))
    assert result.verdict == "bad"
    assert "exited 3 times in a row, last with exit code 3" in result.reason
    assert "cannot find the database" in result.log_tail


async def test_a_command_that_does_not_exist_ends_the_wait_at_once(
    agent: RealAgent, host: AgentHost
) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    component = app("./no-such-program", "--flag")
    await host.ensure_instance(instance(SCOPE, release, component))
    result = await host.await_ready(ready(SCOPE, release, component))
    assert result.verdict == "bad"
    assert "./no-such-program: No such file or directory" in result.reason


async def test_an_app_that_never_listens_is_bad_at_its_deadline(
    agent: RealAgent, host: AgentHost
) -> None:
    text = "import time; print('thinking', flush=True); time.sleep(600)"
    release = await agent.stage(host, SCOPE, {"server.py": text})
    await host.ensure_instance(instance(SCOPE, release, app()))
    wanted = ready(SCOPE, release, app())
    health = wanted.health.model_copy(update={"deadline": 0.5})
    result = await host.await_ready(wanted.model_copy(update={"health": health}))
    assert result.verdict == "bad"
    assert "not healthy within 0.5 s" in result.reason
    assert "no connection" in result.reason
    assert "thinking" in result.log_tail


async def test_an_app_that_ignores_sigterm_is_gone_after_its_grace(
    agent: RealAgent, host: AgentHost
) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    files = {"server.py": ignoring + python_app()["server.py"]}
    release = await agent.stage(host, SCOPE, files)
    fact = await start(host, release, app())
    assert fact.pid is not None
    gone = wire.InstanceGone(scope=SCOPE, revision=app().revision(release), grace=0.3)
    await host.remove_instances(gone)
    assert not psutil.pid_exists(fact.pid)
    left = [p.name() for p in agent.processes() if p.pid != await agent.pid()]
    assert sorted(left) == ["caddy", "envoy"]
    assert list((agent.data / "apps").iterdir()) == []
    assert list((agent.data / "instances").iterdir()) == []


async def test_another_specification_replaces_what_runs(agent: RealAgent, host: AgentHost) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    fact = await start(host, release, app())
    wanted = instance(SCOPE, release, app())
    run = wanted.run.model_copy(update={"variables": {"COLOUR": "blue"}})
    other = await host.ensure_instance(wanted.model_copy(update={"run": run}))
    assert other.pid != fact.pid
    assert (await host.await_ready(ready(SCOPE, release, app()))).verdict == "good"
    assert (await get(other, "/env")).json()["COLOUR"] == "blue"


async def test_a_port_that_was_taken_meanwhile_is_replaced_and_routed(
    agent: RealAgent, host: AgentHost
) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    fact = await start(host, release, app())
    await host.route(routing(SCOPE, (release, app(), 100), domain="shop.localhost"))
    port = int(fact.address.rpartition(":")[2])
    assert fact.pid is not None
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        psutil.Process(fact.pid).kill()
        while True:  # from the app's death to its restart there are 100 ms
            try:
                thief.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        thief.listen()
        url = f"http://{agent.http[0]}:{agent.http[1]}/"
        async with httpx2.AsyncClient(trust_env=False) as client:
            text = ""
            async with asyncio.timeout(10):
                while not text.startswith("python 1"):
                    try:
                        named = {"Host": "shop.localhost"}
                        text = (await client.get(url, headers=named, timeout=0.3)).text
                    except httpx2.TimeoutException:
                        continue  # the thief was asked
        (now,) = (await host.facts()).instances
        assert now.address != fact.address


async def test_memory_over_the_limit_is_a_crash_with_a_reason(
    agent: RealAgent, host: AgentHost
) -> None:
    text = "import time\nhoard = [b'x' * (300 << 20)]\ntime.sleep(600)"
    release = await agent.stage(host, SCOPE, {"server.py": text})
    component = app(memory_bytes=100 << 20)
    await host.ensure_instance(instance(SCOPE, release, component))
    result = await host.await_ready(ready(SCOPE, release, component))
    assert result.verdict == "bad"
    assert any("more than its 100 MiB: killed" in line for line in result.log_tail)


async def test_a_secret_variable_is_in_no_log_and_no_loose_file(
    agent: RealAgent, host: AgentHost
) -> None:
    release = await agent.stage(host, SCOPE, python_app())
    component = app(variables={"DATABASE_PASSWORD": "canary-3141592653"})
    await start(host, release, component)
    with pytest.raises(NotFound):
        await host.ensure_instance(instance(SCOPE, "0" * 64, component))
    for path in agent.data.rglob("*"):
        if path.is_file() and b"canary-3141592653" in path.read_bytes():
            assert path.name == "spec.json"
            assert path.stat().st_mode & 0o777 == 0o600
    assert "canary-3141592653" not in json.dumps((await host.facts()).model_dump())


async def test_a_worker_left_by_a_dead_keeper_is_ended_before_the_restart(
    agent: RealAgent, host: AgentHost
) -> None:
    spawn = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('worker', p.pid, flush=True)\n"
    )
    release = await agent.stage(host, SCOPE, {"server.py": spawn + python_app()["server.py"]})
    await start(host, release, app())
    logs = await host.logs(wire.LogsWanted(scope=SCOPE, revision=app().revision(release)))
    worker = next(int(x.text.split()[1]) for x in logs.lines if x.text.startswith("worker"))
    keeper = next(p for p in agent.processes() if "keeper" in words_of(p))
    keeper.kill()
    psutil.wait_procs([psutil.Process(worker)], timeout=10)
    assert not psutil.pid_exists(worker)
