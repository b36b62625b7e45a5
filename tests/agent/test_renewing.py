"""A router that an upgrade left as it was is replaced when nothing is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.agent.rooms import APP, SCOPE, House, wanted
from tests.fakes.router import FakeRouter
from turnout.agent import renewing
from turnout.base.errors import Failed
from turnout.routers.port import Restarted, Statistics

pytestmark = pytest.mark.anyio


class OldRouter(FakeRouter):
    """One that runs as an earlier Turnout started it."""

    restarts = 0
    looks = 0
    refusal = ""

    @property
    def outdated(self) -> bool:
        return not self.restarts

    async def statistics(self) -> Statistics:
        self.looks += 1
        return await super().statistics()

    async def restart(self) -> Restarted:
        if self.refusal:
            raise Failed("The router was not restarted", why=self.refusal)
        self.restarts += 1
        return await super().restart()


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.router = OldRouter()
    found.restarted()
    await found.router.start()
    return found


def old(house: House) -> OldRouter:
    assert isinstance(house.router, OldRouter)
    return house.router


async def test_a_quiet_router_is_renewed_once(house: House) -> None:
    await renewing.renew(house.router, every=0)
    assert old(house).restarts == 1


async def test_a_busy_one_is_left_until_it_is_quiet(house: House) -> None:
    revision = house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    house.router.host.under_way[SCOPE, revision, "127.0.0.1:20001"] = 1
    renewal = asyncio.create_task(renewing.renew(house.router, every=0))
    while old(house).looks < 3 and not renewal.done():  # noqa: ASYNC110 - each turn lets it look once
        await asyncio.sleep(0)
    assert old(house).restarts == 0
    house.router.host.under_way[SCOPE, revision, "127.0.0.1:20001"] = 0
    async with asyncio.timeout(5):
        await renewal
    assert old(house).restarts == 1


async def test_one_that_cannot_be_replaced_is_left_in_peace(house: House) -> None:
    old(house).refusal = "it speaks another hot restart version"
    await renewing.renew(house.router, every=0)
    assert old(house).restarts == 0
    assert old(house).looks == 1
