"""Calls to hosts: deadlines, and a circuit that opens, rests, and is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import APP, request
from turnout.base import clock
from turnout.base.errors import Failed, NotFound, Unreachable
from turnout.coordinator.fleet import ROUTER, Fleet
from turnout.coordinator.verifying import NotGood, demand_good
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio


async def _ask(fleet: Fleet, deadline: float = 5.0) -> wire.HostFacts:
    return await fleet.call("local", lambda driver: driver.facts(), deadline)


async def test_the_circuit_opens_rests_and_closes_and_each_is_told(
    host: GatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    told: list[tuple[str, str, str]] = []
    loop, both = asyncio.get_running_loop(), asyncio.Event()

    def tell(name: str, service: str, state: str) -> None:
        told.append((name, service, state))
        if len(told) == 2:
            loop.call_soon_threadsafe(both.set)

    fleet = Fleet({"local": host}, tell)
    host.fail("facts", 6)
    for _ in range(5):
        with pytest.raises(Unreachable, match="agent does not answer"):
            await _ask(fleet)

    asked = len(host.calls)
    with pytest.raises(Unreachable, match="left alone") as rest:
        await _ask(fleet)
    assert len(host.calls) == asked
    assert rest.value.facts["retry_after_s"] == 5.0
    now = 5.0
    with pytest.raises(Unreachable, match="agent does not answer"):
        await _ask(fleet)
    now = 10.0
    assert (await _ask(fleet)).host == "local"
    async with asyncio.timeout(5):
        await both.wait()
    assert told == [("local", "agent", "open"), ("local", "agent", "closed")]


async def test_a_refusal_is_an_answer(host: GatedHost) -> None:
    fleet = Fleet({"local": host})
    host.fail("facts", 20, Failed("The disk is stuck"))
    for _ in range(20):
        with pytest.raises(Failed, match="stuck"):
            await _ask(fleet)


async def test_a_silent_host_is_given_up(host: GatedHost) -> None:
    host.shut("facts")
    with pytest.raises(Unreachable, match="did not answer in time"):
        await _ask(Fleet({"local": host}), 0.05)


async def test_an_unknown_host_names_those_there_are(host: GatedHost) -> None:
    with pytest.raises(NotFound, match="local"):
        await Fleet({"local": host}).call("other", lambda driver: driver.facts())


def test_a_verdict_is_never_a_bare_bool() -> None:
    good = wire.ProbeResult(verdict="good", status=200)
    assert demand_good(good, "is bad", "a" * 64)["status"] == 200
    for verdict, kind in (("bad", NotGood), ("unknown", Unreachable), ("unavailable", Unreachable)):
        with pytest.raises(kind):
            demand_good(
                wire.ProbeResult.model_validate({"verdict": verdict, "reason": "so"}),
                "is bad",
                request("a" * 64, APP).release,
            )


async def test_a_sick_router_opens_its_own_circuit_only(host: GatedHost) -> None:
    fleet = Fleet({"local": host})
    host.fail("unroute", 5, Failed("The router did not acknowledge"))
    for _ in range(5):
        with pytest.raises(Failed, match="acknowledge"):
            await fleet.call("local", lambda driver: driver.unroute("a/b"), service=ROUTER)

    with pytest.raises(Unreachable, match="router of the host is left alone"):
        await fleet.call("local", lambda driver: driver.unroute("a/b"), service=ROUTER)
    assert (await _ask(fleet)).host == "local"


def test_a_bad_verdict_says_what_the_app_wrote_last() -> None:
    tail = ("old", "one", "two", "", "three", "    at node:internal/main:28:49", "four", "x" * 500)
    found = wire.ProbeResult(verdict="bad", reason="it exited 3 times", log_tail=tail)
    with pytest.raises(NotGood) as bad:
        demand_good(found, "is not healthy on local", "a" * 64)
    assert (
        bad.value.why == f"it exited 3 times; it last wrote: one / two / three / four / {'x' * 160}"
    )
    assert bad.value.facts["log_tail"] == list(tail)
