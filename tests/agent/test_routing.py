"""Routing, readiness and places over a router in memory and instances that are only records."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from tests.agent.rooms import APP, RELEASE, SCOPE, SITE, House, wanted
from turnout.agent import places, readiness
from turnout.agent.instance import Instance
from turnout.agent.launch import Record, Status
from turnout.agent.places import Place
from turnout.agent.readiness import Watched
from turnout.agent.upkeep import Upkeep
from turnout.base.errors import Failed, InvalidInput, NotFound
from turnout.routers.port import Applied
from turnout.wire import agent as wire
from turnout.wire.project import HealthSpec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    await found.router.start()
    return found


async def test_an_app_is_routed_to_its_instances(house: House) -> None:
    revision = house.record(APP, 20001)
    await house.routing.route(wanted(APP, default=True))
    (site,) = house.router.host.sites
    assert (site.scope, site.default, dict(site.weights)) == (SCOPE, True, {revision: 100})
    (backend,) = site.backends
    assert backend.addresses == ("127.0.0.1:20001",)
    assert (backend.site, backend.spa, backend.headers) == (None, False, ())


async def test_a_static_site_is_routed_to_the_origin_with_its_rules(house: House) -> None:
    revision = house.root(SITE)
    await house.routing.route(wanted(SITE))
    (backend,) = house.router.host.sites[0].backends
    assert backend.addresses == ("unix:/run/origin.sock",)
    assert backend.site == f"{SCOPE}/{revision}"
    assert backend.spa
    rules = [(r.pattern, r.name, r.value) for r in backend.headers]
    assert rules == [("/assets/*", "Cache-Control", "max-age=1"), ("/assets/*", "X-A", "b")]


async def test_a_refusal_brings_the_old_routing_back(house: House) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    before = house.layout.route(SCOPE).read_bytes()
    house.router.refuse_with = "no"
    with pytest.raises(Failed):
        await house.routing.route(wanted(APP, weight=0))
    with pytest.raises(Failed):
        await house.routing.unroute(SCOPE)
    assert house.layout.route(SCOPE).read_bytes() == before
    house.router.refuse_with = ""
    with pytest.raises(InvalidInput):
        await house.routing.route(wanted(APP, domains=("shop.localhost", "shop.localhost")))
    assert house.layout.route(SCOPE).read_bytes() == before


async def test_what_a_full_disk_kept_from_the_router_is_not_made_so_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    before = house.layout.route(SCOPE).read_bytes()

    async def full(_sites: object) -> Applied:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(house.router, "apply", full)
        with pytest.raises(OSError, match="No space"):
            await house.routing.route(wanted(APP, weight=0))
    assert house.layout.route(SCOPE).read_bytes() == before
    assert not await house.routing.reconcile()


async def test_a_first_routing_that_is_refused_leaves_none(house: House) -> None:
    house.record(APP, 20001)
    house.router.refuse_with = "no"
    with pytest.raises(Failed):
        await house.routing.route(wanted(APP))
    assert list(house.layout.routes.iterdir()) == []


async def test_two_scopes_cannot_have_one_domain(house: House) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    directory = house.layout.instances / "other/production" / APP.revision(RELEASE) / "0"
    directory.mkdir(parents=True)
    source = house.layout.instance(SCOPE, APP.revision(RELEASE), 0) / "spec.json"
    (directory / "spec.json").write_text(source.read_text().replace(SCOPE, "other/production"))
    with pytest.raises(InvalidInput):
        await house.routing.route(wanted(APP, scope="other/production"))
    assert [routes.scope for routes in house.routing.all()] == [SCOPE]


async def test_nothing_to_answer_is_refused(house: House) -> None:
    with pytest.raises(NotFound):
        await house.routing.route(wanted(APP))
    with pytest.raises(NotFound):
        await house.routing.route(wanted(SITE))


async def test_a_new_address_is_told_and_an_old_one_is_not_told_again(house: House) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    assert not await house.routing.reconcile()
    house.record(APP, 20002)
    assert await house.routing.reconcile()
    assert house.router.host.sites[0].backends[0].addresses == ("127.0.0.1:20002",)


async def test_after_a_restart_the_router_is_told_everything(house: House) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    house.router.host.sites = ()
    house.restarted()
    upkeep = Upkeep(house.instances, house.routing, house.origin, house.router)
    await upkeep.begin()
    assert house.origin.running
    assert [site.scope for site in house.router.host.sites] == [SCOPE]


async def test_a_routing_that_the_router_refuses_does_not_keep_the_agent_from_starting(
    house: House,
) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    house.router.refuse_with = "no"
    house.restarted()
    await Upkeep(house.instances, house.routing, house.origin, house.router).begin()


async def test_concurrent_routings_all_arrive(house: House) -> None:
    source = house.record(APP, 20001)
    record = (house.layout.instance(SCOPE, source, 0) / "spec.json").read_text()
    scopes = [f"shop/e{n}" for n in range(20)]
    for scope in scopes:
        directory = house.layout.instance(scope, source, 0)
        directory.mkdir(parents=True)
        (directory / "spec.json").write_text(record.replace(SCOPE, scope))
    routings = [wanted(APP, scope=scope, domains=(f"{scope[5:]}.localhost",)) for scope in scopes]
    await asyncio.gather(*(house.routing.route(routing) for routing in routings))
    assert {site.scope for site in house.router.host.sites} == set(scopes)


def looping(status: Status) -> Instance:
    assert APP.run is not None
    asked = wire.InstanceWanted(
        scope=SCOPE, revision="0" * 16, release=RELEASE, index=0, run=APP.run
    )
    record = Record(wanted=asked, address="127.0.0.1:1", port=1, attempts=3, keeper={})
    return Instance(Path("/nowhere"), record, status, kept=True)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status(state="running", crashes=2), ""),
        (
            Status(state="exited", crashes=3, exit_code=1),
            "exited 3 times in a row, last with exit code 1",
        ),
        (Status(state="exited", crashes=4, exit_code=-9), "killed by signal 9"),
        (Status(error="the command cannot be executed"), "the command cannot be executed"),
        (Status(state="port-taken"), "every port"),
    ],
)
async def test_what_is_hopeless(status: Status, reason: str) -> None:
    found = readiness.hopeless(looping(status))
    assert reason in found
    assert bool(found) == bool(reason)


async def test_one_hopeless_instance_ends_the_wait_for_all() -> None:
    broken = looping(Status(state="exited", crashes=5, exit_code=2))
    slow = looping(Status(state="running"))
    watched = [
        Watched(Place("127.0.0.1:1", 0), lambda: slow),
        Watched(Place("127.0.0.1:1", 1), lambda: broken),
    ]
    begun = asyncio.get_running_loop().time()
    result = await readiness.await_ready(watched, HealthSpec(deadline=30))
    assert asyncio.get_running_loop().time() - begun < 1
    assert result.verdict == "bad"
    assert result.reason.startswith("instance 1: ")


@pytest.mark.parametrize(
    ("http", "address"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("0.0.0.0", 80), "127.0.0.1:80"),  # noqa: S104 - compared, not bound
        (("::", 80), "[::1]:80"),
        (("2001:db8::1", 80), "[2001:db8::1]:80"),
    ],
)
async def test_where_a_local_client_finds_the_router(http: tuple[str, int], address: str) -> None:
    assert places.reachable(http) == address
