"""Pruning: what no release needs any more goes, and with each file the only copy of its key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import Untrusted
from turnout.packages import sealed_files
from turnout.packages.disk import TEMPORARY
from turnout.packages.manifest import recall
from turnout.packages.rooms import Room
from turnout.packages.segments import SEGMENT_BYTES, Part, pack
from turnout.packages.store_index import Place

_WORTH_KEEPING = 0.5
"""A segment of which less than this is needed is rewritten, so the store never takes more than
about twice what its releases do."""


@dataclass(frozen=True)
class PruneReport:
    """What a prune removed.

    Attributes:
        releases: Those that are gone.
        segments: Segments that are gone.
        rewritten: Those among them of which something was kept, in new segments.
        freed_bytes: On the disk.
    """

    releases: tuple[str, ...]
    segments: int
    rewritten: int
    freed_bytes: int


def prune(room: Room, keep: set[str], before: float) -> PruneReport:
    """Remove what is not needed for *keep* and was last touched before *before*.

    A crash at any point leaves too much and never too little: releases go first, then whole
    segments; a segment that is rewritten goes after its successor is on the disk.

    Args:
        room: Held alone.
        keep: Releases.
        before: Seconds since 1970.
    """
    size = _size(room)
    gone = tuple(
        release
        for release in room.releases()
        if release not in keep and _older(room.release_path(release), before)
    )
    for release in gone:
        room.release_path(release).unlink(missing_ok=True)
    _remove_packages(room, gone, before)
    needed = _needed(room)
    in_parts = room.index.verified_in_parts()
    for digest in in_parts.keys() - needed:
        if all(_older(room.segments / place.segment, before) for place in in_parts[digest]):
            room.forget_whole(digest)

    def wanted(part: Part, name: str) -> bool:
        return part.digest in needed and any(
            place.segment == name and place.offset == part.offset
            for place in room.index.places(part.digest)
        )

    dead, sparse = [], []
    for name, parts in room.index.segments.items():
        if not _older(room.segments / name, before):
            continue
        kept = [part for part in parts if wanted(part, name)]
        if not kept:
            dead.append(name)
        elif sum(p.length for p in kept) < _WORTH_KEEPING * sum(p.length for p in parts):
            sparse.append(name)
    room.remove(dead)
    rewrite(room, sparse, wanted)
    _remove_temporaries(room, before)
    return PruneReport(gone, len(dead) + len(sparse), len(sparse), max(0, size - _size(room)))


def rewrite(room: Room, names: list[str], keep: Callable[[Part, str], bool]) -> None:
    """Replace segments by new ones with only the parts that *keep* says; needs the room alone."""
    moved = {
        digest: places
        for digest, places in room.index.verified_in_parts().items()
        if not {place.segment for place in places}.isdisjoint(names)
    }
    written: set[str] = set()
    parts: list[Part] = []
    plain = bytearray()
    for name in names:
        # Decided before the first new segment is noted, which changes where things are.
        chosen = {part for part in room.index.segments[name] if keep(part, name)}
        for part, content in _pieces(room, name) if chosen else ():
            if part not in chosen:
                continue
            if len(plain) + part.length > SEGMENT_BYTES:
                written.add(room.write(pack(parts, plain)))
                parts, plain = [], bytearray()
            parts.append(part)
            plain += content
    if parts:
        written.add(room.write(pack(parts, plain)))
    now_at = _places_in(room, written)
    for digest, places in moved.items():
        room.record_whole(
            digest,
            [
                now_at.get((digest, place.offset), place) if place.segment in names else place
                for place in places
            ],
        )
    room.remove(set(names) - written)


def _pieces(room: Room, name: str) -> Iterable[tuple[Part, memoryview]]:
    try:
        return room.segment(name).pieces()
    except (Untrusted, FileNotFoundError):
        # Nothing of it can be kept; what it held counts as lacking from now on.
        return ()


def _places_in(room: Room, names: Iterable[str]) -> dict[tuple[bytes, int], Place]:
    found = {}
    for name in names:
        start = 0
        for part in room.index.segments[name]:
            found[part.digest, part.offset] = Place(name, start, part.offset, part.length)
            start += part.length
    return found


def _needed(room: Room) -> set[bytes]:
    needed: set[bytes] = set()
    for release in room.releases():
        path = room.release_path(release)
        try:
            _, content = sealed_files.read_both(path, room.key)
        except Untrusted:
            # It cannot be sealed any more; without it an upload of the same files writes it anew.
            path.unlink(missing_ok=True)
            continue
        needed.update(bytes.fromhex(digest) for digest in recall(content).sizes)
    return needed


def _remove_packages(room: Room, gone: Iterable[str], before: float) -> None:
    prefixes = tuple(room.package_prefix(release) for release in gone)
    for path in room.packages.iterdir():
        if (prefixes and path.name.startswith(prefixes)) or _older(path, before):
            path.unlink(missing_ok=True)


def _remove_temporaries(room: Room, before: float) -> None:
    for folder in room.folders:
        for path in folder.glob(f"{TEMPORARY}*"):
            if _older(path, before):
                path.unlink(missing_ok=True)


def _older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return True


def _size(room: Room) -> int:
    return sum(item.stat().st_size for folder in room.folders for item in os.scandir(folder))
