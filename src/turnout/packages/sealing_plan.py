"""What goes into a package: stored segments as they are where all of one is lacking, else anew."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from turnout.base.errors import Failed
from turnout.packages.building import UNDER_WAY
from turnout.packages.pipeline import in_order
from turnout.packages.rooms import Room
from turnout.packages.segments import SEGMENT_BYTES, Part, Segment, pack

Pick = tuple[str, tuple[Part, ...]]
"""A segment's name, and what is taken of it in the order in which it stands there."""


def segments_for(room: Room, wanted: set[bytes]) -> Iterator[Segment]:
    """Yield segments with exactly the files in *wanted*, all of which the room must hold.

    A segment that is wanted whole is taken packed as it is, which costs its decryption only.
    """
    jobs = plan(room, wanted)
    workers = min(UNDER_WAY, os.cpu_count() or 1)
    yield from in_order(lambda job: _fetch(room, job), jobs, workers, UNDER_WAY)


def plan(room: Room, wanted: set[bytes]) -> list[list[Pick]]:
    """Return what is read for every segment of the package.

    Raises:
        Failed: The store lost a file, as a damaged disk may.
    """
    places: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for digest in wanted:
        here = room.index.places(digest)
        if not here:
            raise Failed(
                "The store no longer holds a file of the release",
                subject=digest.hex()[:12],
                why="what held it is damaged or gone",
                next_step="Deploy the same files again: that uploads what is lacking.",
                facts={"final": True, "digest": digest.hex()},
            )
        for place in here:
            places[place.segment].append((digest, place.offset))
    jobs: list[list[Pick]] = []
    rest: list[Pick] = []
    room_left = 0
    # Large files first: the host hashes one once all of it came, beside what comes after.
    segments = room.index.segments
    for name in sorted(places, key=lambda name: (segments[name][-1].whole, name)):
        parts = segments[name]
        if len(places[name]) == len(parts):
            jobs.append([(name, parts)])
            continue
        here_wanted = set(places[name])
        chosen = tuple(part for part in parts if (part.digest, part.offset) in here_wanted)
        size = sum(part.length for part in chosen)
        if size > room_left and rest:
            jobs.append(rest)
            rest = []
        if not rest:
            room_left = SEGMENT_BYTES
        rest.append((name, chosen))
        room_left -= size
    return [*jobs, rest] if rest else jobs


def _fetch(room: Room, job: list[Pick]) -> Segment:
    name, chosen = job[0]
    segment = room.segment(name)
    if len(job) == 1 and segment.parts == chosen:
        return segment
    parts: list[Part] = []
    plain = bytearray()
    for name, chosen in job:
        wanted = set(chosen)
        for part, content in room.segment(name).pieces():
            if part in wanted:
                parts.append(part)
                plain += content
    return pack(parts, plain)
