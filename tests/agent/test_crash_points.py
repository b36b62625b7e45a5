"""The agent killed at every point of every operation: the same request again completes it."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

import turnout.agent
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
from turnout.agent.crash_points import NAMES, OPERATIONS
from turnout.base import failpoints
from turnout.base.errors import Unreachable
from turnout.targets.agent_host import AgentHost
from turnout.wire import agent as wire

Result = TypeVar("Result")
APP, SITE = "shop/production", "site/production"
PAGE = {"index.html": "<h1>page</h1>" * 200, "assets/app-1a2b3c4d.js": "let x = 1;" * 200}


def test_every_point_in_the_code_is_listed_and_every_listed_one_is_there() -> None:
    source = "".join(p.read_text() for p in Path(turnout.agent.__file__).parent.glob("*.py"))
    found = set(re.findall(r'"(agent\.[a-z]+\.(?:before|inside|after))"', source))
    # Routing names its operation in one place for both of its kinds.
    assert 'reached(f"agent.{kind}.inside")' in source
    assert found | {"agent.route.inside", "agent.unroute.inside"} == set(NAMES)
    assert {name.split(".")[1] for name in NAMES} == set(OPERATIONS)


class Stubborn:
    """A caller that starts the agent again and repeats its request, as the coordinator does."""

    def __init__(self, agent: RealAgent, host: AgentHost) -> None:
        self.agent = agent
        self.host = host
        self.repeated = 0

    async def __call__(self, call: Callable[[AgentHost], Awaitable[Result]]) -> Result:
        for _ in range(3):
            try:
                return await call(self.host)
            except Unreachable:
                self.repeated += 1
                await self.agent.start()
        raise AssertionError("it never went through")


@pytest.fixture(scope="module")
def shared() -> RealAgent:
    return RealAgent()


@pytest.fixture(scope="module", autouse=True)
async def _ended(shared: RealAgent, anyio_backend: str) -> AsyncIterator[None]:
    yield
    await shared.end()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.real
@pytest.mark.anyio
@pytest.mark.parametrize("point", ["none", *NAMES])
async def test_a_kill_there_changes_nothing_of_the_outcome(
    shared: RealAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    agent = shared
    for process in agent.processes():
        if "-m turnout.agent" in words_of(process):
            process.kill()
            process.wait(10)
    points = tmp_path / "points"
    points.write_text(f"{point}=kill\n")
    monkeypatch.setenv(failpoints.VARIABLE, str(points))
    do = Stubborn(agent, await agent.start())
    release, page = await go_live(agent, do)
    ran = await act(do, release, tmp_path)
    facts = await do.host.facts()
    assert set(facts.releases) == {release, page}
    assert [(i.scope, i.state) for i in facts.instances] == [(APP, "running")]
    assert [s.scope for s in facts.sites] == [SITE]
    assert {r.scope: sum(r.weights.values()) for r in facts.routes} == {APP: 100, SITE: 100}
    for scope, revision in ((APP, app().revision(release)), (SITE, site().revision(page))):
        probe = wire.ProbeWanted(scope=scope, revision=revision, path="/", through_router=True)
        assert (await do.host.probe(probe)).verdict == "good"
    bridged = agent.data / "sites" / SITE / ".bridge" / "assets" / "app-1a2b3c4d.js"
    assert bridged.read_text() == PAGE["assets/app-1a2b3c4d.js"]
    assert ran.read_text() == "once"
    assert (agent.data / "access-logs" / f"{APP}.json").exists()
    assert [p.name for p in (agent.data / "commands" / APP).iterdir()] == ["migrate-1.json"]
    await go_away(do, release, page)
    await assert_nothing_is_left(agent, do)
    assert (tmp_path / f"points.{point}.done").exists() == (point != "none")
    assert bool(do.repeated) == (point != "none")


async def go_live(agent: RealAgent, do: Stubborn) -> tuple[str, str]:
    release = await staged(agent, do, APP, python_app())
    wanted = instance(APP, release, app())
    await do(lambda host: host.ensure_instance(wanted))
    assert (await do(lambda host: host.await_ready(ready(APP, release, app())))).verdict == "good"
    await do(lambda host: host.route(routing(APP, (release, app(), 100))))
    page = await staged(agent, do, SITE, PAGE)
    static = site().static
    assert static is not None
    root = wire.SiteWanted(scope=SITE, revision=site().revision(page), release=page, static=static)
    await do(lambda host: host.ensure_site(root))
    await do(lambda host: host.bridge(wire.BridgeWanted(scope=SITE, releases=(page,))))
    await do(lambda host: host.route(routing(SITE, (page, site(), 100))))
    return release, page


async def act(do: Stubborn, release: str, directory: Path) -> Path:
    """Do what changes nothing of what is live; return what its command writes into."""
    ran = directory / "ran"
    wanted = wire.CommandWanted(
        scope=APP,
        id="migrate-1",
        revision=app().revision(release),
        release=release,
        command=(sys.executable, "-c", "import os; open(os.environ['RAN'], 'a').write('once')"),
        variables={"RAN": str(ran)},
    )
    found = await do(lambda host: host.run_command(wanted))
    assert (found.exit_code, found.timed_out) == (0, False)
    await do(lambda host: host.access_log(wire.AccessLogWanted(scope=APP, on=True)))
    restarted = await do(lambda host: host.restart_router())
    assert restarted.version
    return ran


async def staged(agent: RealAgent, do: Stubborn, scope: str, files: dict[str, str]) -> str:
    path = await agent.package(do.host, scope, agent.project(files))
    return (await do(lambda host: host.stage(agent.trust(scope), path))).release


async def go_away(do: Stubborn, release: str, page: str) -> None:
    revision = app().revision(release)
    for index in (0, None):
        drain = wire.DrainWanted(scope=APP, revision=revision, index=index, deadline=2)
        await do(lambda host, drain=drain: host.drain(drain))
    assert [i.draining for i in (await do.host.facts()).instances] == [True]
    for scope in (APP, SITE):
        await do(lambda host, scope=scope: host.unroute(scope))
    gone = wire.InstanceGone(scope=APP, revision=revision, grace=2)
    await do(lambda host: host.remove_instances(gone))
    for scope in (APP, SITE):
        wanted = wire.PruneWanted(scope=scope, releases=(), revisions=())
        await do(lambda host, wanted=wanted: host.prune(wanted))


async def assert_nothing_is_left(agent: RealAgent, do: Stubborn) -> None:
    facts = await do.host.facts()
    assert (facts.releases, facts.instances, facts.sites, facts.routes) == ((), (), (), ())
    for area in ("sites", "apps", "instances", "routes", "claims", "commands", "access-logs"):
        assert list((agent.data / area).iterdir()) == []
    assert list((agent.data / "releases" / "incoming").iterdir()) == []
    assert not [p for p in agent.processes() if "server.py" in words_of(p)]
