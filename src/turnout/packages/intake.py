"""The store's intake: a segment is checked, kept, and completes the files it belongs to."""

from __future__ import annotations

import hashlib
from typing import NoReturn

from turnout.base.errors import Untrusted
from turnout.packages.manifest import Manifest
from turnout.packages.pruning import rewrite
from turnout.packages.rooms import Room
from turnout.packages.segments import Segment, Source, decode
from turnout.packages.store_index import Place


def lacking(room: Room, manifest: Manifest) -> list[str]:
    """Return the digests that are not here, and keep the others from a prune for a while."""
    missing = room.lacking(manifest.sizes)
    here = manifest.sizes.keys() - set(missing)
    places = (place for digest in here for place in room.index.places(bytes.fromhex(digest)))
    room.refresh({place.segment for place in places})
    return missing


def held_parts(room: Room, manifest: Manifest) -> dict[str, list[tuple[int, int]]]:
    """Return digest to (offset, length) of the parts of unfinished files, and keep them too."""
    found = {}
    for digest in manifest.sizes:
        raw = bytes.fromhex(digest)
        if room.index.size(raw) is None and (places := room.index.held_parts(raw)):
            found[digest] = [(place.offset, place.length) for place in places]
            room.refresh({place.segment for place in places})
    return found


def receive(data: bytes | Source) -> Segment:
    """Read one segment and nothing else.

    Raises:
        Untrusted: It is no segment, or something follows it.
    """
    segment = decode(data)
    if not isinstance(data, bytes | memoryview) and data.read(1):
        raise Untrusted("A segment is followed by something else")
    return segment


def add(room: Room, segment: Segment) -> tuple[int, bytes | None]:
    """Check a segment and keep it.

    Returns:
        How many files are complete through it, and the digest of a file in parts that turned
        out to be another one, which the caller must :func:`reject`.

    Raises:
        Untrusted: It is damaged or not what it says; nothing is kept of it.
    """
    complete = _check(segment)
    # The parts of a file that is not verified yet may be here in a bad copy: write them again.
    pending = {
        part.digest
        for part in segment.parts
        if not part.whole and room.index.size(part.digest) is None
    }
    name = room.name_of(segment)
    if pending or name not in room.index.segments:
        room.write(segment, name)
    for digest in pending:
        places = room.index.candidate(digest)
        if not places:
            continue
        if _digest_at(room, places) != digest:
            return complete, digest
        room.record_whole(digest, places)
        complete += 1
    return complete, None


def reject(room: Room, digest: bytes) -> NoReturn:
    """Drop every part of a file whose parts do not make what they should; needs the room alone.

    Raises:
        Untrusted: Always.
    """
    holding = [
        name
        for name, parts in room.index.segments.items()
        if any(part.digest == digest and not part.whole for part in parts)
    ]
    rewrite(room, holding, lambda part, _: part.digest != digest)
    _bad(digest)


def _check(segment: Segment) -> int:
    complete = 0
    for part, digest in segment.digests():
        if digest != part.digest:
            _bad(part.digest)
        complete += 1
    return complete


def _digest_at(room: Room, places: list[Place]) -> bytes:
    running = hashlib.sha256()
    for place in places:
        for block in room.read(place):
            running.update(block)
    return running.digest()


def _bad(digest: bytes) -> NoReturn:
    raise Untrusted(
        "A file is not what its digest says",
        subject=digest.hex(),
        why="it was changed on the way, or while it was read",
        next_step="Upload again.",
    )
