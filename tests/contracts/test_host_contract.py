"""What every host promises: the fake in memory and a real agent with real processes."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.agent.realagent import (
    RealAgent,
    app,
    instance,
    python_app,
    ready,
    routing,
    site,
)
from tests.fakes.host import FakeHost
from turnout.base.errors import Conflict, InvalidInput, NotFound, Unreachable, Untrusted
from turnout.targets.agent_host import AgentHost
from turnout.targets.port import Host
from turnout.wire import agent as wire
from turnout.wire import rollout
from turnout.wire.statistics import BOUNDS_MS

pytestmark = pytest.mark.anyio

PAGE = {"index.html": "<h1>hello</h1>", "assets/app-1a2b3c4d.js": "let x = 1;"}
SITE, APP = "site/production", "app/production"


@dataclasses.dataclass
class Setting:
    """A host, and the means to make packages for it."""

    host: Host
    tools: RealAgent

    async def stage(self, scope: str, files: dict[str, str]) -> str:
        return await self.tools.stage(self.host, scope, files)

    async def run_app(self) -> tuple[str, str]:
        """Stage a server app, route all traffic to its one instance; return release and revision."""
        release = await self.stage(APP, python_app())
        await self.host.ensure_instance(instance(APP, release, app()))
        assert (await self.host.await_ready(ready(APP, release, app()))).verdict == "good"
        await self.host.route(routing(APP, (release, app(), 100)))
        return release, app().revision(release)

    async def ask(self, revision: str, times: int = 1) -> None:
        """Let so many requests reach the app through the router."""
        # The whole answer is read, for the router times no request that was given up.
        probe = wire.ProbeWanted(
            scope=APP, revision=revision, path="/", contains="python 1", through_router=True
        )
        for _ in range(times):
            assert (await self.host.probe(probe)).verdict == "good"

    def ends(self, result: wire.CommandResult) -> None:
        """Let the command of :func:`command` end with *result* where nothing really runs."""
        if isinstance(self.host, FakeHost):
            self.host.results[sys.executable] = result

    async def serve(self, scope: str, files: dict[str, str]) -> tuple[str, str]:
        """Stage a static site and make its root; return release and revision."""
        release = await self.stage(scope, files)
        component = site()
        assert component.static is not None
        revision = component.revision(release)
        await self.host.ensure_site(
            wire.SiteWanted(
                scope=scope, revision=revision, release=release, static=component.static
            )
        )
        return release, revision


def command(release: str, directory: Path) -> wire.CommandWanted:
    """Return a command that tells what it finds, and leaves a mark each time that it runs."""
    program = (
        "import os, pathlib, sys; open(os.environ['RAN'], 'a').write('once ');"
        "print(*(p.name for p in pathlib.Path().glob('*.py')), 'there'); sys.exit(3)"
    )
    return wire.CommandWanted(
        scope=APP,
        id="deployment-1-check",
        revision=app().revision(release),
        release=release,
        command=(sys.executable, "-c", program),
        variables={"RAN": str(directory / "ran")},
        timeout=60.0,
    )


@pytest.fixture(scope="module")
def _agent() -> Iterator[RealAgent]:
    agent = RealAgent()
    yield agent
    asyncio.run(agent.end())


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    if request.param == "fake":
        tools = RealAgent()
        yield Setting(FakeHost(), tools)
        await tools.end()
        return
    tools = request.getfixturevalue("_agent")
    host = await tools.start()
    yield Setting(host, tools)
    for scope in (SITE, APP, "other/production"):
        await host.unroute(scope)
        await host.prune(wire.PruneWanted(scope=scope, releases=(), revisions=()))
    facts = await host.facts()
    assert (facts.releases, facts.instances, facts.sites) == ((), (), ())
    await host.close()


async def test_hello_says_who_answers(setting: Setting) -> None:
    hello = await setting.host.hello()
    assert hello.host == "local"
    assert wire.VERSION in hello.versions


async def test_a_staged_release_is_held_and_needs_nothing_more(setting: Setting) -> None:
    release = await setting.stage(SITE, PAGE)
    assert release in (await setting.host.facts()).releases
    path = await setting.tools.package(setting.host, SITE, setting.tools.project(PAGE))
    again = await setting.host.stage(setting.tools.trust(SITE), path)
    assert again.release == release
    assert again.files == 2


async def test_a_package_for_another_environment_is_not_trusted(setting: Setting) -> None:
    path = await setting.tools.package(setting.host, APP, setting.tools.project(PAGE))
    with pytest.raises(Untrusted):
        await setting.host.stage(setting.tools.trust(SITE), path)
    assert (await setting.host.facts()).releases == ()


async def test_a_changed_or_cut_package_is_not_trusted(setting: Setting) -> None:
    path = await setting.tools.package(setting.host, SITE, setting.tools.project(PAGE))
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[-40] ^= 1
    for data in (bytes(changed), whole[:-1], whole + b"x", b"", b"nothing of the kind" * 100):
        path.write_bytes(data)
        with pytest.raises(Untrusted):
            await setting.host.stage(setting.tools.trust(SITE), path)
    assert (await setting.host.facts()).releases == ()


async def test_what_needs_a_release_says_that_it_is_not_there(setting: Setting) -> None:
    with pytest.raises(NotFound):
        await setting.host.ensure_instance(instance(APP, "0" * 64, app()))
    with pytest.raises(NotFound):
        await setting.host.ensure_site(
            wire.SiteWanted(
                scope=SITE,
                revision="0" * 16,
                release="0" * 64,
                static=site().static,  # type: ignore[arg-type]  # set for a site
            )
        )


async def test_a_static_site_goes_live_and_away(setting: Setting) -> None:
    host = setting.host
    release, revision = await setting.serve(SITE, PAGE)
    await host.bridge(wire.BridgeWanted(scope=SITE, releases=(release,)))
    assert (await host.await_ready(ready(SITE, release, site()))).verdict == "good"
    await host.route(routing(SITE, (release, site(), 100)))
    assert (await host.facts()).routes == (wire.RouteFact(scope=SITE, weights={revision: 100}),)
    probe = wire.ProbeWanted(scope=SITE, revision=revision, path="/", through_router=True)
    assert (await host.probe(probe)).verdict == "good"
    report = await host.traffic(SITE)
    assert [(t.revision, t.weight) for t in report.revisions] == [(revision, 100)]
    with pytest.raises(Conflict):
        await host.remove_instances(wire.InstanceGone(scope=SITE, revision=revision))
    await host.unroute(SITE)
    await host.remove_instances(wire.InstanceGone(scope=SITE, revision=revision))
    assert (await host.facts()).sites == ()


async def test_instances_run_are_ready_and_end(setting: Setting) -> None:
    host = setting.host
    release = await setting.stage(APP, python_app())
    facts = [await host.ensure_instance(instance(APP, release, app(), i)) for i in range(2)]
    assert len({fact.address for fact in facts}) == 2
    again = await host.ensure_instance(instance(APP, release, app(), 0))
    assert (again.address, again.pid) == (facts[0].address, facts[0].pid)
    assert (await host.await_ready(ready(APP, release, app()))).verdict == "good"
    revision = app().revision(release)
    drained = await host.drain(wire.DrainWanted(scope=APP, revision=revision, deadline=1))
    assert drained.left == 0
    await host.remove_instances(wire.InstanceGone(scope=APP, revision=revision, index=1))
    assert [i.index for i in (await host.facts()).instances] == [0]
    await host.remove_instances(wire.InstanceGone(scope=APP, revision=revision))
    await host.remove_instances(wire.InstanceGone(scope=APP, revision=revision))
    assert (await host.facts()).instances == ()


async def test_nothing_there_is_unknown_not_bad(setting: Setting) -> None:
    wanted = ready(APP, "0" * 64, app())
    assert (await setting.host.await_ready(wanted)).verdict == "unknown"
    probe = wire.ProbeWanted(scope=APP, revision="0" * 16, path="/")
    assert (await setting.host.probe(probe)).verdict == "unknown"


async def test_a_routing_that_contradicts_itself_changes_nothing(setting: Setting) -> None:
    host = setting.host
    release, revision = await setting.serve(SITE, PAGE)
    await host.route(routing(SITE, (release, site(), 100)))
    before = (await host.facts()).routes
    with pytest.raises(InvalidInput):
        await host.route(routing(SITE, (release, site(), 99)))
    with pytest.raises(InvalidInput):
        stray = routing(SITE, (release, site(), 100))
        await host.route(stray.model_copy(update={"weights": {"f" * 16: 100}}))
    with pytest.raises(NotFound):
        await host.route(routing(SITE, (release, site(spa=True), 100)))
    assert (await host.facts()).routes == before
    assert before[0].weights == {revision: 100}


async def test_a_scope_can_be_taken_off_the_air(setting: Setting) -> None:
    release, _ = await setting.serve(SITE, PAGE)
    applied = await setting.host.route(routing(SITE, (release, site(), 100)))
    dark = await setting.host.route(routing(SITE, (release, site(), 0)))
    assert applied.version != dark.version
    assert (await setting.host.facts()).routes[0].weights == {}
    await setting.host.unroute(SITE)
    await setting.host.unroute(SITE)
    assert (await setting.host.facts()).routes == ()


async def test_clients_are_told_apart_and_copied_as_asked(setting: Setting) -> None:
    host = setting.host
    first, old = await setting.serve(SITE, PAGE)
    second, new = await setting.serve(SITE, PAGE | {"index.html": "second"})
    both = routing(SITE, (first, site(), 80), (second, site(), 20))
    split = wire.Split(
        candidate=new,
        baseline=old,
        sticky=True,
        testers=(rollout.Tester(cookie="beta", value="1"),),
    )
    mirror = wire.Mirror(revision=new, percent=50)
    await host.route(both.model_copy(update={"split": split, "mirror": mirror}))
    fact = wire.RouteFact(scope=SITE, weights={old: 80, new: 20}, split=split, mirror=mirror)
    assert (await host.facts()).routes == (fact,)
    stranger = "f" * 16
    for change in (
        {"split": split.model_copy(update={"candidate": stranger})},
        {"split": split.model_copy(update={"baseline": stranger})},
        {"mirror": wire.Mirror(revision=stranger, percent=50)},
    ):
        with pytest.raises(InvalidInput):
            await host.route(both.model_copy(update=change))
    assert (await host.facts()).routes == (fact,)
    await host.route(both)
    (plain,) = (await host.facts()).routes
    assert (plain.split, plain.mirror) == (None, None)


async def test_statistics_tell_what_was_counted_and_used(setting: Setting) -> None:
    host = setting.host
    release, revision = await setting.run_app()
    if isinstance(host, FakeHost):
        host.made_up.requests = 5
    before = await host.statistics()
    assert before.host == "local"
    assert abs(before.at - time.time()) < 60
    await setting.ask(revision, 5)
    async with asyncio.timeout(15):
        while True:
            after = await host.statistics()
            (counted,) = [one for one in after.revisions if one.scope == APP]
            # The real router tells of latencies a little later than of answers.
            timed = isinstance(host, FakeHost) or sum(n for _, n in counted.latency)
            if counted.requests >= 5 and timed in (True, counted.requests):
                break
            await asyncio.sleep(0.05)
    assert (counted.revision, counted.release, counted.weight) == (revision, release, 100)
    assert counted.by_class["2xx"] == counted.requests
    assert after.counting_since == before.counting_since != ""
    assert after.at > before.at
    (used,) = after.instances
    assert (used.scope, used.revision, used.index, used.restarts) == (APP, revision, 0, 0)
    (fact,) = (await host.facts()).instances
    assert used.started_at == fact.started_at
    if not isinstance(host, FakeHost):
        assert {bound for bound, _ in counted.latency} <= set(BOUNDS_MS)
        assert used.cpu_s > 0
        assert used.memory_bytes > 1 << 20
        assert used.open_files > 0


async def test_a_command_runs_once_and_is_told_again(setting: Setting, tmp_path: Path) -> None:
    host = setting.host
    release = await setting.stage(APP, python_app())
    setting.ends(wire.CommandResult(exit_code=3, tail=("server.py there",)))
    wanted = command(release, tmp_path)
    found = await host.run_command(wanted)
    assert (found.exit_code, found.timed_out, found.tail) == (3, False, ("server.py there",))
    assert await host.run_command(wanted) == found
    with pytest.raises(Conflict):
        await host.run_command(wanted.model_copy(update={"command": ("another",)}))
    keep = wire.PruneWanted(scope=APP, releases=(release,), revisions=(wanted.revision,))
    await host.prune(keep)
    assert await host.run_command(wanted) == found
    if not isinstance(host, FakeHost):
        assert (tmp_path / "ran").read_text() == "once "
    with pytest.raises(NotFound):
        unknown = {"id": "another", "release": "0" * 64}
        await host.run_command(wanted.model_copy(update=unknown))


async def test_what_a_command_said_is_forgotten_with_its_revision(
    setting: Setting, tmp_path: Path
) -> None:
    host = setting.host
    release = await setting.stage(APP, python_app())
    wanted = command(release, tmp_path)
    await host.run_command(wanted)
    await host.prune(wire.PruneWanted(scope=APP, releases=(release,), revisions=()))
    another = wanted.model_copy(update={"command": (sys.executable, "-c", "pass")})
    setting.ends(wire.CommandResult(exit_code=0))
    assert (await host.run_command(another)).exit_code == 0


async def test_a_router_is_replaced_and_goes_on(setting: Setting) -> None:
    host = setting.host
    _, revision = await setting.run_app()
    await setting.ask(revision, 3)
    first = await host.restart_router()
    await setting.ask(revision, 3)
    second = await host.restart_router()
    await setting.ask(revision, 3)
    assert second.epoch == first.epoch + 1
    assert first.version == second.version != ""
    assert first.took_ms >= 0
    facts = await host.facts()
    assert facts.router_alive
    assert facts.routes == (wire.RouteFact(scope=APP, weights={revision: 100}),)
    assert [one.revision for one in (await host.statistics()).revisions] == [revision]


async def test_the_access_log_is_switched_for_one_scope(setting: Setting) -> None:
    host = setting.host
    _, revision = await setting.run_app()
    for on in (True, True, False, False, True):
        await host.access_log(wire.AccessLogWanted(scope=APP, on=on))
        await setting.ask(revision)
    assert (await host.facts()).routes == (wire.RouteFact(scope=APP, weights={revision: 100}),)
    # A scope that has no routing yet may wish it as well.
    await host.access_log(wire.AccessLogWanted(scope="other/production", on=True))


async def test_prune_keeps_what_is_named_routed_or_claimed_by_others(setting: Setting) -> None:
    host = setting.host
    first, first_revision = await setting.serve(SITE, PAGE)
    second, _ = await setting.serve(SITE, PAGE | {"index.html": "second"})
    third, third_revision = await setting.serve(SITE, PAGE | {"index.html": "third"})
    await setting.stage("other/production", PAGE | {"index.html": "second"})
    await host.route(routing(SITE, (third, site(), 100)))
    named = wire.PruneWanted(scope=SITE, releases=(first,), revisions=(first_revision,))
    pruned = await host.prune(named)
    assert pruned.releases == ()
    assert len(pruned.revisions) == 1
    facts = await host.facts()
    assert set(facts.releases) == {first, second, third}
    assert {s.revision for s in facts.sites} == {first_revision, third_revision}
    nothing = wire.PruneWanted(scope="other/production", releases=(), revisions=())
    assert (await host.prune(nothing)).releases == (second,)
    assert (await host.prune(named)) == wire.Pruned(releases=(), revisions=())


async def test_logs_go_on_where_they_stopped(setting: Setting) -> None:
    host = setting.host
    release = await setting.stage(APP, python_app())
    revision = app().revision(release)
    await host.ensure_instance(instance(APP, release, app()))
    await host.await_ready(ready(APP, release, app()))
    if isinstance(host, FakeHost):
        await host.write(APP, revision, "listening")
        await host.write(APP, revision, "asked /")
    wanted = wire.LogsWanted(scope=APP, revision=revision)
    page = await host.logs(wanted)
    assert "asked /" in [line.text for line in page.lines]
    after = await host.logs(wanted.model_copy(update={"cursor": page.cursor}))
    assert after.lines == ()
    following = host.follow_logs(wanted.model_copy(update={"cursor": page.cursor}))
    if isinstance(host, FakeHost):
        await host.write(APP, revision, "asked /later")
    else:
        await host.probe(wire.ProbeWanted(scope=APP, revision=revision, path="/later"))
    async with asyncio.timeout(5):
        assert (await anext(following)).text == "asked /later"
    await following.aclose()  # type: ignore[attr-defined]  # both are generators
    with pytest.raises(InvalidInput):
        await host.logs(wanted.model_copy(update={"cursor": "../../etc/passwd"}))


async def test_a_host_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    host = AgentHost("away", tmp_path / "none.sock")
    with pytest.raises(Unreachable) as caught:
        await host.facts()
    assert caught.value.subject == "away"
    await host.close()


async def test_the_fake_fails_as_often_as_it_is_told() -> None:
    host = FakeHost()
    host.fail("hello", times=2)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await host.hello()
    await host.hello()
