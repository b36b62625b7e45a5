"""A real agent is killed while a command runs and a log is on: both go on as they were wished."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import eventually
from tests.agent.realagent import RealAgent, app, instance, python_app, ready, routing
from turnout.base.errors import Failed, Unreachable
from turnout.targets.agent_host import AgentHost
from turnout.wire import agent as wire

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SCOPE = "shop/production"
ON, OFF = (wire.AccessLogWanted(scope=SCOPE, on=on) for on in (True, False))

PROGRAM = """\
import os, pathlib, time
here = pathlib.Path(os.environ["AT"])
with (here / "ran").open("a") as file:
    file.write("once")
while not (here / "go").exists():
    time.sleep(0.01)
print("went on")
"""


@pytest.fixture
async def agent() -> AsyncIterator[RealAgent]:
    found = RealAgent()
    try:
        yield found
    finally:
        await found.end()


def command(release: str, directory: Path) -> wire.CommandWanted:
    """Return a command that says that it began, and ends when it is let go on."""
    return wire.CommandWanted(
        scope=SCOPE,
        id="deployment-1-migrate",
        revision=app().revision(release),
        release=release,
        command=(sys.executable, "-c", PROGRAM),
        variables={"AT": str(directory)},
    )


async def test_a_command_outlives_the_agent_and_is_waited_for_again(
    agent: RealAgent, tmp_path: Path
) -> None:
    host = await agent.start()
    wanted = command(await agent.stage(host, SCOPE, python_app()), tmp_path)
    asking = asyncio.create_task(host.run_command(wanted))
    await asyncio.to_thread(eventually, (tmp_path / "ran").exists)
    await agent.kill()
    with pytest.raises(Unreachable):
        await asking
    host = await agent.start()
    asking = asyncio.create_task(host.run_command(wanted))
    (tmp_path / "go").touch()
    found = await asking
    assert (found.exit_code, found.tail) == (0, ("went on",))
    assert (tmp_path / "ran").read_text() == "once"


async def test_a_command_that_was_ended_with_the_host_is_not_run_again(
    agent: RealAgent, tmp_path: Path
) -> None:
    host = await agent.start()
    wanted = command(await agent.stage(host, SCOPE, python_app()), tmp_path)
    asking = asyncio.create_task(host.run_command(wanted))
    await asyncio.to_thread(eventually, (tmp_path / "ran").exists)
    await host.halt()
    with pytest.raises(Failed, match="not known how"):
        await asking
    await agent.kill()
    host = await agent.start()
    with pytest.raises(Failed, match="not known how") as caught:
        await host.run_command(wanted)
    assert caught.value.facts == {"final": True}
    assert (tmp_path / "ran").read_text() == "once"


async def test_a_log_that_is_on_stays_on_over_kills_and_restarts(agent: RealAgent) -> None:
    host = await agent.start()
    release = await agent.stage(host, SCOPE, python_app())
    await host.ensure_instance(instance(SCOPE, release, app()))
    assert (await host.await_ready(ready(SCOPE, release, app()))).verdict == "good"
    await host.route(routing(SCOPE, (release, app(), 100)))
    await ask(host, release, "/before")
    await host.access_log(ON)
    await ask(host, release, "/on")
    await agent.kill()
    host = await agent.start()
    await ask(host, release, "/after-a-kill")
    await host.restart_router()
    await ask(host, release, "/after-a-restart")
    await host.access_log(OFF)
    await ask(host, release, "/off")
    await host.access_log(ON)
    await ask(host, release, "/again")
    await asyncio.to_thread(eventually, lambda: len(lines(agent)) >= 4, 30.0)
    expected = ["/on", "/after-a-kill", "/after-a-restart", "/again"]
    assert [line["path"] for line in lines(agent)] == expected
    assert {line["scope"] for line in lines(agent)} == {SCOPE}


async def ask(host: AgentHost, release: str, path: str) -> None:
    probe = wire.ProbeWanted(
        scope=SCOPE,
        revision=app().revision(release),
        path=path,
        contains="python",
        through_router=True,
    )
    assert (await host.probe(probe)).verdict == "good"


def lines(agent: RealAgent) -> list[dict[str, Any]]:
    """Return what was logged, in order of time: each process writes its lines when it will."""
    path = agent.data / "envoy" / "access.log"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return sorted(found, key=lambda line: str(line["at"]))
