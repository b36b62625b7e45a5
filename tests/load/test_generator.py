"""The load generator counts what happened, and calls nothing good that was not."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from load import Answer, Kind, Load, Report, Target
from tests.load.server import misbehaving

pytestmark = pytest.mark.anyio

ALL_KINDS = dict.fromkeys(Kind, 1.0)


async def run(
    path: str,
    kind: Kind = Kind.KEEP_ALIVE,
    count: int = 5,
    timeout_s: float = 5.0,
    **target: object,
) -> Report:
    async with misbehaving() as server:
        asked = Target("127.0.0.1", server.port, path, **target)  # type: ignore[arg-type]
        async with Load([asked], rate=500, kinds={kind: 1}, count=count, timeout_s=timeout_s) as on:
            await on.done()
        return on.report()


@pytest.mark.parametrize("path", ["/good", "/chunked"])
@pytest.mark.parametrize("kind", [Kind.KEEP_ALIVE, Kind.NEW_CONNECTION])
async def test_complete_answers_are_no_failures(path: str, kind: Kind) -> None:
    report = await run(path, kind, count=20)
    assert (report.requests, report.failed, report.skipped) == (20, 0, 0)
    assert report.by_kind == {kind: 20}
    assert 0 < report.latency(0.5) <= report.latency(0.99) < 5


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/error", "status 503"),
        ("/short", "the body ended early"),
        ("/short-chunk", "the body ended early"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.KEEP_ALIVE, Kind.NEW_CONNECTION, Kind.SLOW_READER])
async def test_bad_answers_are_failures(path: str, reason: str, kind: Kind) -> None:
    report = await run(path, kind)
    assert report.failures == {(kind, reason): 5}


async def test_a_reset_is_a_failure() -> None:
    report = await run("/reset")
    assert report.failed == 5


async def test_silence_is_a_failure() -> None:
    report = await run("/hang", timeout_s=0.2)
    assert report.failures == {(Kind.KEEP_ALIVE, "timeout"): 5}


async def test_a_closed_port_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Load([Target("127.0.0.1", port)], rate=500, count=3) as on:
        await on.done()
    assert on.report().failed == 3
    assert {reason for _, reason in on.report().failures} == {"ConnectionRefusedError"}


async def test_what_the_check_says_is_a_failure() -> None:
    def wants_goodbye(answer: Answer) -> str:
        return "" if answer.body == b"goodbye" else "no goodbye"

    report = await run("/good", check=wants_goodbye)
    assert report.failures == {(Kind.KEEP_ALIVE, "no goodbye"): 5}


async def test_a_check_that_breaks_is_a_failure_too() -> None:
    def breaks(answer: Answer) -> str:
        raise KeyError("x")

    assert (await run("/good", check=breaks)).failed == 5


async def test_a_stream_that_is_cut_is_a_failure_and_one_that_is_left_is_not() -> None:
    cut = await run("/short-chunk", Kind.STREAM, stream_path="/short-chunk")
    assert cut.failures == {(Kind.STREAM, "the body ended early"): 5}
    async with misbehaving() as server:
        target = Target("127.0.0.1", server.port, stream_path="/stream")
        async with Load([target], kinds={Kind.STREAM: 1}, count=3, stream_s=0.1) as on:
            await on.done()
        assert (on.report().requests, on.report().failed) == (3, 0)


async def test_slow_uploads_send_the_whole_body() -> None:
    async with misbehaving() as server:
        target = Target("127.0.0.1", server.port, upload_path="/good")
        kinds = {Kind.SLOW_UPLOAD: 1}
        async with Load([target], kinds=kinds, count=2, slow_s=0.1, rate=500) as on:
            await on.done()
    assert on.report().failed == 0
    assert all(record.latency >= 0.1 for record in on.report().records)


async def test_kept_connections_are_reused_and_new_ones_are_new() -> None:
    for kind, expected in ((Kind.KEEP_ALIVE, 1), (Kind.NEW_CONNECTION, 10)):
        async with misbehaving() as server:
            target = Target("127.0.0.1", server.port, "/good")
            async with Load([target], kinds={kind: 1}, rate=40, count=10) as on:
                await on.done()
            assert on.report().failed == 0
            assert server.connections == expected


async def test_arrivals_do_not_wait_for_answers() -> None:
    async with misbehaving() as server:
        target = Target("127.0.0.1", server.port, "/hang")
        begin = time.monotonic()
        async with Load([target], rate=200, count=40, timeout_s=0.5) as on:
            await on.done()
        assert on.report().requests == 40
        assert time.monotonic() - begin < 3  # one after the other: 20 s


async def test_leaving_ends_slow_clients_early_and_loses_no_record() -> None:
    async with misbehaving() as server:
        target = Target("127.0.0.1", server.port, "/good", "", "", "/good", "/stream")
        begin = time.monotonic()
        async with Load([target], kinds=ALL_KINDS, rate=100, slow_s=30, stream_s=30) as on:
            await on.seen(20)
        assert time.monotonic() - begin < 10
        report = on.report()
        assert report.failed == 0
        assert set(report.by_kind) == set(Kind)


async def test_seen_gives_up() -> None:
    async with Load([]) as on:
        with pytest.raises(TimeoutError):
            await on.seen(1, timeout_s=0.05)


async def test_targets_can_be_added_under_way() -> None:
    async with misbehaving() as server, Load([], rate=200) as on:
        await asyncio.sleep(0)
        on.add(Target("127.0.0.1", server.port, "/good", name="late"))
        await on.seen(5)
        assert on.report().of(target="late").requests >= 5
        assert set(on.report().by_release) == {"r1"}
