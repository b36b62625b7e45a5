"""The index of a project's store: which segment holds which bytes of which file.

It is read from the heads of the segments, which are columns that C code splits, so there is no
second file that could say something else after a crash.  A file in several parts counts only
once its whole content was verified; a record under ``wholes`` says at which places it was.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable
from typing import NamedTuple

from turnout.keys.mac import mac
from turnout.packages.segments import Part

SEGMENT_ENDING = ".seg"
_OFFSET_AND_LENGTH = struct.Struct(">QQ")


class Place(NamedTuple):
    """Where bytes of a file are: in which segment, from where in its plaintext.

    Attributes:
        segment: The segment's name.
        start: Where they begin in the segment's plaintext.
        offset: Where they begin in the file.
        length: How many.
    """

    segment: str
    start: int
    offset: int
    length: int


class StoreIndex:
    """What one project's store holds; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: dict[bytes, Place] = {}
        self._parted: dict[bytes, dict[int, Place]] = {}
        self._sizes: dict[bytes, int] = {}
        self._verified: dict[bytes, list[Place]] = {}
        self.segments: dict[str, tuple[Part, ...]] = {}

    def add(self, name: str, parts: tuple[Part, ...]) -> None:
        """Note a segment whose file is in place."""
        with self._lock:
            self.segments[name] = parts
            self._note(name, parts)

    def remove(self, names: Iterable[str]) -> None:
        """Forget segments; what another segment holds too is found there again."""
        gone = set(names)
        with self._lock:
            for name in gone:
                self.segments.pop(name, None)
            self._whole, self._parted, self._sizes = {}, {}, {}
            for name, parts in self.segments.items():
                self._note(name, parts)
            self._verified = {
                digest: places
                for digest, places in self._verified.items()
                if gone.isdisjoint(place.segment for place in places)
            }

    def verify(self, digest: bytes, places: list[Place]) -> None:
        """Note that a file in parts was verified as it stands at *places*."""
        with self._lock:
            if all(place.segment in self.segments for place in places):
                self._verified[digest] = places

    def unverify(self, digest: bytes) -> None:
        with self._lock:
            self._verified.pop(digest, None)

    def size(self, digest: bytes) -> int | None:
        """Return the size of a file that is here and verified, else None."""
        place = self._whole.get(digest)
        if place is not None:
            return place.length
        places = self._verified.get(digest)
        return places[-1].offset + places[-1].length if places else None

    def places(self, digest: bytes) -> list[Place]:
        """Return where a verified file is, in the order of its bytes; nothing if it is not."""
        place = self._whole.get(digest)
        return [place] if place is not None else self._verified.get(digest, [])

    def candidate(self, digest: bytes) -> list[Place]:
        """Return where all parts of an unverified file are, or nothing if some are lacking."""
        with self._lock:
            places = self._parted.get(digest, {})
            size = self._sizes.get(digest, 0)
            chosen = []
            at = 0
            while at < size and at in places:
                chosen.append(places[at])
                at += places[at].length
            return chosen if at == size else []

    def held_parts(self, digest: bytes) -> list[Place]:
        """Return the parts that are here of a file that is not complete.

        A file that is complete and yet not verified has a bad part, nobody knows which: then
        all must come again.
        """
        if self.candidate(digest):
            return []
        with self._lock:
            return list(self._parted.get(digest, {}).values())

    def digests(self) -> list[bytes]:
        """Return the digests of all verified files."""
        with self._lock:
            return [*self._whole, *(self._verified.keys() - self._whole.keys())]

    def verified_in_parts(self) -> dict[bytes, list[Place]]:
        """Return the verified files that are in several parts, and where they are."""
        with self._lock:
            return dict(self._verified)

    def _note(self, name: str, parts: tuple[Part, ...]) -> None:
        start = 0
        for part in parts:
            digest, offset, length, size = part
            place = Place(name, start, offset, length)
            if length == size:
                self._whole[digest] = place
            else:
                self._sizes[digest] = size
                self._parted.setdefault(digest, {})[offset] = place
            start += length


def segment_name(store_key: bytes, parts: Iterable[Part]) -> str:
    """Return the name of a segment: a MAC of what it holds, which tells a stranger nothing."""
    numbers = _OFFSET_AND_LENGTH.pack
    listing = b"".join([part[0] + numbers(part[1], part[2]) for part in parts])
    return mac(store_key, b"segment", listing).hex() + SEGMENT_ENDING
