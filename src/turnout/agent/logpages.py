"""Log pages: what the instances of a revision wrote, in order of time, and where to go on.

A cursor is ``index.file.offset`` for each instance, joined by commas; it stays good while
logs rotate, and a place that was rotated away becomes the oldest that is left.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from turnout.agent import records
from turnout.agent.paths import Layout
from turnout.base.errors import InvalidInput
from turnout.wire import agent as wire

PAGE_LINES = 1000
_POLL = 0.1
_CURSOR = re.compile(r"^\d{1,2}\.\d{1,8}\.\d{1,12}(,\d{1,2}\.\d{1,8}\.\d{1,12}){0,63}$")

Place = tuple[int, int]  # file number, offset


async def page(layout: Layout, wanted: wire.LogsWanted) -> wire.LogPage:
    """Return the lines after the cursor, or the last ones, waiting for a first one if asked.

    Raises:
        InvalidInput: The cursor is none of ours.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + wanted.wait
    found = await asyncio.to_thread(_page, layout, wanted)
    while not found.lines and loop.time() < until:
        await asyncio.sleep(min(_POLL, max(0.0, until - loop.time())))
        # From the first look's cursor on: a tail of nothing must not become a tail later.
        later = wanted.model_copy(update={"cursor": found.cursor}) if found.cursor else wanted
        found = await asyncio.to_thread(_page, layout, later)
    return found


def tail(layout: Layout, scope: str, revision: str, count: int) -> tuple[str, ...]:
    """Return the text of the last lines of a revision, at most *count*, without restarts."""
    wanted = wire.LogsWanted(scope=scope, revision=revision, tail=2 * count)
    # That it was started again would only push out what the app said of its trouble.
    said = [
        line.text
        for line in _page(layout, wanted).lines
        if not (line.stream == "turnout" and "; starts again in " in line.text)
    ]
    return tuple(said[-count:])


def _page(layout: Layout, wanted: wire.LogsWanted) -> wire.LogPage:
    parent = layout.instance_log(wanted.scope, wanted.revision, 0).parent
    directories = {int(p.name): p for p in records.entries(parent) if p.name.isdigit()}
    places = _parse(wanted.cursor)
    lines: list[wire.LogLine] = []
    for index, directory in directories.items():
        if wanted.cursor:
            share = max(1, PAGE_LINES // len(directories))
            raw, places[index] = _after(directory, places.get(index, (0, 0)), share)
        else:
            raw, places[index] = _last(directory, wanted.tail)
        lines += _lines(raw, wanted, index)
    lines.sort(key=lambda line: line.at)
    if not wanted.cursor:
        lines = lines[max(0, len(lines) - wanted.tail) :]
    return wire.LogPage(lines=tuple(lines), cursor=_format(places))


def _after(directory: Path, place: Place, limit: int) -> tuple[list[bytes], Place]:
    """Return at most *limit* whole lines after *place*, and where they end."""
    found: list[bytes] = []
    for number, path in _files(directory):
        if number < place[0]:
            continue
        offset = place[1] if number == place[0] else 0
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if len(found) >= limit:
                    return found, (number, offset)
                found.append(line)
                offset += len(line)
        place = (number, offset)
    return found, place


def _last(directory: Path, count: int) -> tuple[list[bytes], Place]:
    """Return the last *count* whole lines, and where the log ends."""
    files = _files(directory)
    found: list[bytes] = []
    end: Place = (0, 0)
    for position, (number, path) in enumerate(reversed(files)):
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if position == 0:
            end = (number, len(whole))
        found = whole.splitlines(keepends=True)[-count:] + found if count else []
        if len(found) >= count:
            break
    return found[-count:] if count else [], end


def _files(directory: Path) -> list[tuple[int, Path]]:
    named = [p for p in records.entries(directory) if p.suffix == ".jsonl" and p.stem.isdigit()]
    return [(int(path.stem), path) for path in named]


def _lines(raw: list[bytes], wanted: wire.LogsWanted, index: int) -> Iterator[wire.LogLine]:
    for line in raw:
        try:
            document = json.loads(line)
            yield wire.LogLine(
                scope=wanted.scope, revision=wanted.revision, index=index, **document
            )
        except (ValueError, TypeError, ValidationError):
            continue  # a line that a power cut left half-written


def _parse(cursor: str) -> dict[int, Place]:
    if not cursor:
        return {}
    if not _CURSOR.fullmatch(cursor):
        raise InvalidInput(
            "This is no cursor of a log",
            subject=cursor[:80],
            next_step="Use the cursor of the page before, or none.",
        )
    parts = [tuple(map(int, part.split("."))) for part in cursor.split(",")]
    return {index: (number, offset) for index, number, offset in parts}


def _format(places: dict[int, Place]) -> str:
    return ",".join(f"{i}.{number}.{offset}" for i, (number, offset) in sorted(places.items()))
