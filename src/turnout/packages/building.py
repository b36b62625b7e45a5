"""Building segments: which files go together, and reading and packing them in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from turnout.base.errors import InvalidInput
from turnout.packages.buffers import Buffers, uncollected
from turnout.packages.hashing import read_into
from turnout.packages.pipeline import in_order
from turnout.packages.scan import Scan
from turnout.packages.segments import MAX_PARTS, SEGMENT_BYTES, Part, Segment, pack
from turnout.packages.walking import Descent

UNDER_WAY = 4
"""Segments that are read and packed at one time, at most; bounds the memory."""

_LEAST = 1 << 20
_SPREAD = 24
"""A small release is cut into so many segments, of a megabyte at least: then one is packed while
another travels and a third is checked, which matters more than the hundredth they are larger."""


class Run(NamedTuple):
    """A part and where it is read from."""

    path: str
    part: Part


_File = tuple[str, str, str, bytes, int]
"""Ending, name, path, digest and size, in the order of which files are packed."""


def build(
    scan: Scan,
    digests: Iterable[str],
    held: Mapping[str, Sequence[tuple[int, int]]] | None = None,
) -> Iterator[Segment]:
    """Yield segments with the content of *digests*, in an order that is always the same.

    Args:
        scan: The directory they are read from; it must not have changed since.
        digests: What the receiver lacks, in hexadecimal.
        held: Parts of large files that the receiver holds from an upload that was cut, as
            (offset, length); they are left out.

    Raises:
        InvalidInput: A digest is not in the scan, or a file changed since.
    """
    runs = plan(scan, digests, held or {})
    workers = min(UNDER_WAY, os.cpu_count() or 1)
    buffers = Buffers(SEGMENT_BYTES)
    yield from in_order(lambda run: _pack(scan, run, buffers), runs, workers, UNDER_WAY)


def plan(
    scan: Scan, digests: Iterable[str], held: Mapping[str, Sequence[tuple[int, int]]]
) -> Iterator[list[Run]]:
    """Yield what goes into which segment.

    Files are sorted by ending, name and path: alike follows alike, which the compressor finds
    within a segment, and a later version's files meet their former selves.  Those in several
    parts come first: the receiver checks one once all of it came, beside what comes after.
    """
    with uncollected():
        groups = _groups(scan, digests)
    total = sum(file[-1] for group in groups for file in group)
    segment: list[Run] = []
    target = min(SEGMENT_BYTES, max(_LEAST, total // _SPREAD))
    room = target
    # The second group is sorted when the first is on its way.
    for _, _, path, raw, size in chain.from_iterable(map(sorted, groups)):
        # The parts of a large file begin at multiples of the segment size, whatever was
        # before them, so a second attempt cuts alike and finds what is there.
        there = set(held.get(raw.hex(), ())) if held else ()
        offset = 0
        while True:
            length = min(SEGMENT_BYTES, size - offset)
            if (length > room and segment) or len(segment) == MAX_PARTS:
                yield segment
                segment = []
                room = target
            if (offset, length) not in there:
                segment.append(Run(path, Part(raw, offset, length, size)))
                room -= length
            offset += length
            if offset >= size:
                break
    if segment:
        yield segment


def _groups(scan: Scan, digests: Iterable[str]) -> tuple[list[_File], list[_File]]:
    """Return the files in several parts, and the others."""
    groups: tuple[list[_File], list[_File]] = ([], [])
    paths, marks = scan.paths, scan.marks
    for digest in set(digests):
        path = paths.get(digest)
        if path is None:
            raise InvalidInput("The server asks for a file that was not scanned", subject=digest)
        name = path.rpartition("/")[2]
        size = marks[path].size
        file = (name.rpartition(".")[2], name, path, bytes.fromhex(digest), size)
        groups[size <= SEGMENT_BYTES].append(file)
    return groups


def _pack(scan: Scan, runs: Sequence[Run], buffers: Buffers) -> Segment:
    lengths = [run.part.length for run in runs]
    starts = accumulate(lengths, initial=0)
    with buffers.lent() as buffer, Descent(scan.root) as descent:
        plain = buffer[: sum(lengths)]
        # Read directory by directory, wherever in the segment it goes: neighbours in a segment
        # are alike, and seldom in one directory.
        for (path, part), start in sorted(zip(runs, starts, strict=False)):
            target = plain[start : start + part.length]
            read_into(descent, path, scan.marks[path], part.offset, target)
        return pack([run.part for run in runs], plain)
