"""Log pages: cursors stay good while logs grow and rotate, and hold nobody's path."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from turnout.agent import keeplog, logpages
from turnout.agent.keeplog import Log
from turnout.agent.paths import Layout
from turnout.base.errors import InvalidInput
from turnout.wire.agent import LogsWanted

pytestmark = pytest.mark.anyio
SCOPE, REVISION = "shop/production", "0123456789abcdef"
WANTED = LogsWanted(scope=SCOPE, revision=REVISION)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path)


def log(layout: Layout, index: int = 0) -> Log:
    return Log(str(layout.instance_log(SCOPE, REVISION, index)))


async def texts(layout: Layout, wanted: LogsWanted) -> tuple[list[str], LogsWanted]:
    page = await logpages.page(layout, wanted)
    return [line.text for line in page.lines], wanted.model_copy(update={"cursor": page.cursor})


async def test_the_last_lines_then_what_comes_after(layout: Layout) -> None:
    written = log(layout)
    written.write("out", [f"line {n}" for n in range(10)])
    found, after = await texts(layout, WANTED.model_copy(update={"tail": 3}))
    assert found == ["line 7", "line 8", "line 9"]
    assert (await texts(layout, after))[0] == []
    written.write("err", ["new"])
    found, after = await texts(layout, after)
    assert found == ["new"]
    assert (await texts(layout, after))[0] == []


async def test_instances_are_merged_by_time(layout: Layout) -> None:
    first, second = log(layout, 0), log(layout, 1)
    for number in range(3):
        first.write("out", [f"a{number}"])
        await asyncio.sleep(0.002)
        second.write("out", [f"b{number}"])
        await asyncio.sleep(0.002)
    found, after = await texts(layout, WANTED)
    assert found == ["a0", "b0", "a1", "b1", "a2", "b2"]
    second.write("out", ["b3"])
    assert (await texts(layout, after))[0] == ["b3"]


async def test_pages_cover_a_long_log_without_gap_or_repeat(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logpages, "PAGE_LINES", 7)
    monkeypatch.setattr(keeplog, "SEGMENT_BYTES", 600)
    written = log(layout)
    for number in range(30):
        written.write("out", [str(number)])
    first = str(min(int(n) for n in (await texts(layout, WANTED))[0]))
    wanted = WANTED.model_copy(update={"cursor": "0.0.0"})
    found: list[str] = []
    while True:
        part, wanted = await texts(layout, wanted)
        assert len(part) <= 7
        if not part:
            break
        found += part
    assert found == [str(number) for number in range(int(first), 30)]


async def test_a_place_that_was_rotated_away_becomes_the_oldest_left(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeplog, "SEGMENT_BYTES", 300)
    written = log(layout)
    written.write("out", ["first"])
    _, after = await texts(layout, WANTED)
    for number in range(100):
        written.write("out", [str(number)])
    found, _ = await texts(layout, after)
    assert found[-1] == "99"
    assert len(found) > 3


async def test_a_half_written_line_is_left_for_later(layout: Layout) -> None:
    written = log(layout)
    written.write("out", ["whole"])
    (path,) = layout.instance_log(SCOPE, REVISION, 0).iterdir()
    text = path.read_text()
    path.write_text(text + text[:-10])
    found, after = await texts(layout, WANTED)
    assert found == ["whole"]
    path.write_text(text + text)
    assert (await texts(layout, after))[0] == ["whole"]


async def test_a_line_that_is_no_document_is_skipped(layout: Layout) -> None:
    log(layout).write("out", ["good"])
    (path,) = layout.instance_log(SCOPE, REVISION, 0).iterdir()
    path.write_text("not json\n[]\n{}\n" + '{"at": "x"}\n' + path.read_text())
    assert (await texts(layout, WANTED))[0] == ["good"]


async def test_waiting_ends_with_the_first_new_line(layout: Layout) -> None:
    written = log(layout)
    written.write("out", ["old"])
    _, after = await texts(layout, WANTED)
    waiting = asyncio.create_task(texts(layout, after.model_copy(update={"wait": 20.0})))
    await asyncio.sleep(0.05)
    written.write("out", ["new"])
    async with asyncio.timeout(3):
        assert (await waiting)[0] == ["new"]


async def test_waiting_without_new_lines_ends_in_time(layout: Layout) -> None:
    assert (await texts(layout, WANTED.model_copy(update={"wait": 0.2})))[0] == []


@pytest.mark.parametrize("cursor", ["x", "0.1", "0.1.2,", "../..", "0.1.2.3", "1.1.-1", "0" * 99])
async def test_a_made_up_cursor_is_refused(layout: Layout, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await logpages.page(layout, WANTED.model_copy(update={"cursor": cursor}))
