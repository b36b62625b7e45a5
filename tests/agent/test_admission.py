"""Who gets requests: over a router in memory and instances that are only records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agent.rooms import APP, SCOPE, House, wanted
from turnout.agent import keepers, readiness
from turnout.agent.instance import Admission, admit
from turnout.base.errors import Failed
from turnout.wire import agent as wire
from turnout.wire.project import HealthSpec

pytestmark = pytest.mark.anyio
REVISION = APP.revision("a" * 64)
HEALTH = HealthSpec(interval=0.05, deadline=0.5, healthy_after=1)


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    await found.router.start()
    return found


@pytest.fixture
async def answering() -> AsyncIterator[int]:
    """The port of something that always answers well."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def put(house: House, index: int, port: int, admission: Admission) -> str:
    """Write down an instance; return its address."""
    house.record(APP, port, index)
    admit(house.layout.instance(SCOPE, REVISION, index), admission)
    return f"127.0.0.1:{port}"


def told(house: House) -> tuple[set[str], set[str]]:
    """Return the addresses that the router has, and those of them that drain."""
    (backend,) = house.router.host.sites[0].backends
    return set(backend.addresses), set(backend.draining)


def ready(index: int | None = None) -> wire.ReadyWanted:
    return wire.ReadyWanted(scope=SCOPE, revision=REVISION, health=HEALTH, index=index)


def drain(index: int) -> wire.DrainWanted:
    return wire.DrainWanted(scope=SCOPE, revision=REVISION, index=index, deadline=1)


async def test_an_instance_gets_requests_from_its_own_readiness_on(
    house: House, answering: int
) -> None:
    serving = put(house, 0, 20001, "admitted")
    joining = put(house, 1, answering, "waiting")
    starting = put(house, 2, 20003, "waiting")
    await house.routing.route(wanted(APP))
    assert told(house) == ({serving}, set())
    assert (await house.admission.await_ready(ready(1))).verdict == "good"
    assert told(house) == ({serving, joining}, set())
    house.restarted()
    await house.routing.reconcile(force=True)
    assert told(house) == ({serving, joining}, set())
    assert starting not in told(house)[0]


async def test_what_is_not_ready_gets_no_requests(house: House, answering: int) -> None:
    serving = put(house, 0, answering, "admitted")
    put(house, 1, 1, "waiting")
    await house.routing.route(wanted(APP))
    assert (await house.admission.await_ready(ready(1))).verdict == "bad"
    assert (await house.admission.await_ready(ready())).verdict == "bad"
    assert told(house) == ({serving}, set())
    assert (await house.admission.await_ready(ready(7))).verdict == "unknown"


async def test_the_readiness_of_a_revision_lets_all_of_it_in(house: House, answering: int) -> None:
    addresses = {put(house, 0, answering, "waiting")}
    directory = house.layout.instance(SCOPE, REVISION, 1)
    house.record(APP, answering, 1)
    admit(directory, "draining")
    assert (await house.admission.await_ready(ready())).verdict == "good"
    assert [i.admission for i in house.instances.of(SCOPE, REVISION)] == ["admitted"] * 2
    await house.routing.route(wanted(APP))
    assert told(house) == (addresses, set())


async def test_one_that_was_replaced_while_it_was_asked_is_not_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = put(house, 0, 20001, "admitted")
    put(house, 1, 20002, "waiting")
    await house.routing.route(wanted(APP))

    async def replaced(*_: object) -> wire.ProbeResult:
        # As an ensure of another specification does it: the new process is not ready yet.
        assert APP.run is not None
        found = house.instances.one(SCOPE, REVISION, 1)
        assert found is not None
        other = found.record.wanted.model_copy(
            update={"run": APP.run.model_copy(update={"variables": {"A": "b"}})}
        )
        record = found.record.model_copy(update={"wanted": other})
        (found.directory / "spec.json").write_text(record.model_dump_json())
        return wire.ProbeResult(verdict="good", attempts=1)

    monkeypatch.setattr(readiness, "await_ready", replaced)
    assert (await house.admission.await_ready(ready(1))).verdict == "unknown"
    assert told(house) == ({serving}, set())


async def test_of_a_revision_that_was_never_ready_all_get_requests(house: House) -> None:
    addresses = {put(house, index, 20001 + index, "waiting") for index in range(2)}
    await house.routing.route(wanted(APP))
    assert told(house) == (addresses, set())


async def test_one_that_drains_gets_no_new_requests_until_it_is_ready_again(
    house: House, answering: int
) -> None:
    other = put(house, 0, 20001, "admitted")
    address = put(house, 1, answering, "admitted")
    await house.routing.route(wanted(APP))
    assert await house.admission.drain(drain(1)) == wire.Drained(left=0)
    assert told(house) == ({other, address}, {address})
    assert [i.fact().draining for i in house.instances.of(SCOPE, REVISION)] == [False, True]
    house.restarted()
    await house.routing.reconcile(force=True)
    assert told(house) == ({other, address}, {address})
    await house.admission.await_ready(ready(1))
    assert told(house) == ({other, address}, set())
    assert not any(i.fact().draining for i in house.instances.of(SCOPE, REVISION))


async def test_draining_what_is_not_there_is_done(house: House) -> None:
    assert await house.admission.drain(drain(3)) == wire.Drained(left=0)
    assert not house.layout.instance(SCOPE, REVISION, 3).exists()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, house: House) -> list[set[str]]:
    """What the router had at each moment that a process was ended."""
    seen: list[set[str]] = []

    async def stop(spec: Path, grace: float) -> None:
        seen.append(told(house)[0])

    monkeypatch.setattr(keepers, "stop", stop)
    return seen


async def test_a_process_ends_after_it_left_the_router(
    house: House, stopped: list[set[str]]
) -> None:
    other = put(house, 0, 20001, "admitted")
    put(house, 1, 20002, "admitted")
    await house.routing.route(wanted(APP))
    gone = wire.InstanceGone(scope=SCOPE, revision=REVISION, index=1, grace=1)
    await house.admission.take_out(gone)
    assert told(house)[1] == {"127.0.0.1:20002"}
    await house.instances.remove(SCOPE, REVISION, 1, 1.0)
    assert stopped == [{other}]


async def test_a_router_that_cannot_be_told_keeps_a_process_alive(
    house: House, stopped: list[set[str]]
) -> None:
    put(house, 0, 20001, "admitted")
    put(house, 1, 20002, "admitted")
    await house.routing.route(wanted(APP))
    house.router.refuse_with = "no"
    with pytest.raises(Failed):
        await house.instances.remove(SCOPE, REVISION, 1, 1.0)
    assert stopped == []
    house.router.refuse_with = ""
    await house.instances.remove(SCOPE, REVISION, 1, 1.0)
    assert len(stopped) == 1
    assert not house.layout.instance(SCOPE, REVISION, 1).exists()


async def test_a_crashed_removal_ends_whatever_the_router_says(
    house: House, stopped: list[set[str]]
) -> None:
    put(house, 0, 20001, "admitted")
    put(house, 1, 20002, "admitted")
    await house.routing.route(wanted(APP))
    (house.layout.instance(SCOPE, REVISION, 1) / "gone").write_text("{}")
    house.restarted()
    house.router.refuse_with = "no"
    await house.instances.finish_removals()
    assert len(stopped) == 1
    assert not house.layout.instance(SCOPE, REVISION, 1).exists()


@pytest.mark.parametrize("change", [dict, lambda: {"state": "of another version"}])
async def test_what_no_agent_wrote_down_gets_requests(
    house: House, change: Callable[[], dict[str, Any]]
) -> None:
    address = put(house, 0, 20001, "waiting")
    other = put(house, 1, 20002, "admitted")
    path = house.layout.instance(SCOPE, REVISION, 0) / "admission.json"
    path.write_text(str(change()).replace("'", '"'))
    await house.routing.route(wanted(APP))
    assert told(house) == ({address, other}, set())
