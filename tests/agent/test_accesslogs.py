"""The access log of a scope: what was wished outlives the agent and the routing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.agent.rooms import APP, SCOPE, House, wanted
from turnout.agent.accesslogs import AccessLogs
from turnout.base.errors import Failed
from turnout.routers.port import Applied
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio
ON, OFF = (wire.AccessLogWanted(scope=SCOPE, on=on) for on in (True, False))


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    await found.router.start()
    found.record(APP, 20001)
    return found


def logs(house: House) -> AccessLogs:
    return AccessLogs(house.layout, house.routing)


def logged(house: House) -> list[bool]:
    return [site.access_log for site in house.router.host.sites]


async def test_it_is_switched_on_and_off(house: House) -> None:
    await house.routing.route(wanted(APP))
    assert logged(house) == [False]
    for message, expected in ((ON, True), (ON, True), (OFF, False), (OFF, False)):
        await logs(house).switch(message)
        assert logged(house) == [expected]
    assert list(house.layout.access_logs.iterdir()) == []


async def test_it_outlives_the_agent_and_another_routing(house: House) -> None:
    await house.routing.route(wanted(APP))
    await logs(house).switch(ON)
    house.restarted()
    house.router.host.sites = ()
    await house.routing.reconcile(force=True)
    assert logged(house) == [True]
    await house.routing.unroute(SCOPE)
    await house.routing.route(wanted(APP))
    assert logged(house) == [True]


async def test_it_may_be_wished_before_anything_is_routed(house: House) -> None:
    await logs(house).switch(ON)
    await house.routing.route(wanted(APP))
    assert logged(house) == [True]


@pytest.mark.parametrize("before", [ON, OFF])
async def test_what_the_router_refused_is_not_wished(
    house: House, before: wire.AccessLogWanted
) -> None:
    await house.routing.route(wanted(APP))
    await logs(house).switch(before)
    house.router.refuse_with = "no room"
    with pytest.raises(Failed):
        await logs(house).switch(OFF if before.on else ON)
    house.router.refuse_with = ""
    await house.routing.reconcile(force=True)
    assert logged(house) == [before.on]


async def test_what_a_full_disk_kept_from_the_router_is_not_wished(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.routing.route(wanted(APP))

    async def full(_sites: object) -> Applied:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(house.router, "apply", full)
        with pytest.raises(OSError, match="No space"):
            await logs(house).switch(ON)
    await house.routing.reconcile(force=True)
    assert logged(house) == [False]


async def test_a_scope_that_is_gone_wishes_nothing(house: House) -> None:
    await logs(house).switch(ON)
    logs(house).forget(SCOPE)
    logs(house).forget(SCOPE)
    await house.routing.route(wanted(APP))
    assert logged(house) == [False]
