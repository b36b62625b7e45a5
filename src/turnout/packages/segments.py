"""Segments: what travels. Whole files or parts of large ones, concatenated and compressed.

Wire form, all numbers little-endian:

    "TSEG"  u8 version  u8 codec  u16 flags (0)  u32 parts  u32 plain bytes  u32 packed bytes
    32 bytes a part: SHA-256 of the whole file it belongs to
    u64 a part: where it begins in that file
    u64 a part: the size of that file
    u32 a part: its length
    the parts' bytes, one after the other, packed by the codec

The version and the codec leave room: for zstd against a prefix that the receiver holds, whose
reference would follow the columns under a flag, and for parts that are content-defined chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple, NoReturn, Protocol

from turnout.base.errors import Untrusted
from turnout.packages import codec

MAGIC = b"TSEG"
VERSION = 1
SEGMENT_BYTES = 8 << 20
"""Plaintext bytes of a segment at most; larger ones gain little and cost memory."""

MAX_PARTS = 65_536

_HEAD = struct.Struct("<4sBBHIII")
_PART_BYTES = 32 + 8 + 8 + 4


class Part(NamedTuple):
    """A run of bytes of one file.

    Attributes:
        digest: SHA-256 of the whole file, 32 bytes.
        offset: Where the run begins in that file.
        length: Bytes of the run.
        size: Bytes of the whole file.
    """

    digest: bytes
    offset: int
    length: int
    size: int

    @property
    def whole(self) -> bool:
        return self.length == self.size


class Source(Protocol):
    """A stream that is read, such as a file or a request's body."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class SegmentLimits:
    """The bounds of one segment; what exceeds them is refused before it is decompressed."""

    plain_bytes: int = SEGMENT_BYTES
    parts: int = MAX_PARTS

    @property
    def wire_bytes(self) -> int:
        """The longest wire form that can be legal; a body longer than this need not be read."""
        return _HEAD.size + self.parts * _PART_BYTES + self.plain_bytes


DEFAULT_LIMITS = SegmentLimits()


@dataclass(frozen=True)
class Segment:
    """Parts and their packed bytes.

    Attributes:
        parts: In the order of their bytes.
        codec: One of those in :mod:`turnout.packages.codec`.
        plain_bytes: The bytes of all parts together.
        packed: What the codec made of them.
    """

    parts: tuple[Part, ...]
    codec: int
    plain_bytes: int
    packed: bytes | memoryview

    def header(self) -> bytes:
        """Return the wire form up to the packed bytes."""
        count = len(self.parts)
        return b"".join(
            (
                _HEAD.pack(
                    MAGIC, VERSION, self.codec, 0, count, self.plain_bytes, len(self.packed)
                ),
                b"".join(part.digest for part in self.parts),
                struct.pack(f"<{count}Q", *(part.offset for part in self.parts)),
                struct.pack(f"<{count}Q", *(part.size for part in self.parts)),
                struct.pack(f"<{count}I", *(part.length for part in self.parts)),
            )
        )

    def encode(self) -> bytes:
        """Return the wire form."""
        return b"".join((self.header(), self.packed))

    def plain(self, room: memoryview | None = None) -> memoryview:
        """Return the bytes of all parts, one after the other.

        Args:
            room: Where they are put, if it is long enough: memory that is used again is much
                cheaper than new.

        Raises:
            Untrusted: They do not unpack to the declared size.
        """
        size = self.plain_bytes
        if room is None or len(room) < size:
            room = memoryview(bytearray(size))
        view = room[:size]
        codec.decompress_into(self.codec, memoryview(self.packed), view)
        return view

    def pieces(self, room: memoryview | None = None) -> Iterator[tuple[Part, memoryview]]:
        """Yield every part with its bytes; arguments and errors are those of :meth:`plain`."""
        view = self.plain(room)
        at = 0
        for part in self.parts:
            end = at + part.length
            yield part, view[at:end]
            at = end

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of all parts in short blocks; raises as :meth:`plain`, but later."""
        return codec.blocks(self.codec, memoryview(self.packed), self.plain_bytes)

    def digests(self) -> Iterator[tuple[Part, bytes]]:
        """Yield every whole file with the SHA-256 of its bytes, never all of which are in memory.

        Raises:
            Untrusted: They do not unpack to the declared size.
        """
        feed = _Blocks(self.blocks())
        skipped = 0
        for part in self.parts:
            if part.whole:
                feed.skip(skipped)
                skipped = 0
                yield part, feed.digest(part.length)
            else:
                skipped += part.length
        feed.end()


def pack(parts: Iterable[Part], plain: bytes | bytearray | memoryview) -> Segment:
    """Return a segment of *parts*, whose bytes *plain* holds one after the other."""
    used, packed = codec.compress(plain)
    return Segment(tuple(parts), used, len(plain), packed)


def decode(source: bytes | memoryview | Source, limits: SegmentLimits = DEFAULT_LIMITS) -> Segment:
    """Return the segment at the start of *source*, which may be hostile.

    Bytes must hold one segment and nothing more; of a stream, one segment is read.  Nothing is
    decompressed yet.

    Raises:
        Untrusted: It is no segment, contradicts itself, or exceeds the limits.
    """
    if isinstance(source, bytes | memoryview):
        feed = _Feed(memoryview(source))
        head, packed_bytes = read_header(feed, limits)
        if len(feed.left) != packed_bytes:
            _refuse("it ends too early, or something follows it")
        # Not copied: a view keeps the source alive as long as it is needed.
        return replace(head, packed=feed.left)
    head, packed_bytes = read_header(source, limits)
    return replace(head, packed=_exactly(source, packed_bytes))


def read_header(source: Source, limits: SegmentLimits = DEFAULT_LIMITS) -> tuple[Segment, int]:
    """Read the head and the columns: a segment without its packed bytes, and their number.

    Raises:
        Untrusted: It is no segment, contradicts itself, or exceeds the limits.
    """
    head = _exactly(source, _HEAD.size)
    magic, version, used, flags, count, plain_bytes, packed_bytes = _HEAD.unpack(head)
    if magic != MAGIC:
        _refuse("it does not begin like one")
    if version != VERSION or flags:
        _refuse(f"it is of version {version}, which this version of Turnout does not know")
    if not 0 < count <= limits.parts or plain_bytes > limits.plain_bytes:
        _refuse("it has more parts or bytes than allowed, or none")
    # A codec is only used when it makes data smaller.
    if packed_bytes > plain_bytes:
        _refuse("it is packed into more bytes than it holds")
    columns = _exactly(source, count * _PART_BYTES)
    digests = [columns[at : at + 32] for at in range(0, 32 * count, 32)]
    offsets = struct.unpack_from(f"<{count}Q", columns, 32 * count)
    sizes = struct.unpack_from(f"<{count}Q", columns, 40 * count)
    lengths = struct.unpack_from(f"<{count}I", columns, 48 * count)
    if sum(lengths) != plain_bytes:
        _refuse("its parts have other lengths together than it says")
    parts = tuple(map(Part._make, zip(digests, offsets, lengths, sizes, strict=True)))
    for part in parts:
        if part.offset + part.length > part.size or (part.length == 0 and part.size):
            _refuse("a part lies outside its file")
    return Segment(parts, used, plain_bytes, b""), packed_bytes


def _exactly(source: Source, size: int) -> bytes:
    data = source.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    left = size - len(data)
    while left:
        data = source.read(left)
        if not data:
            _refuse("it ends too early")
        pieces.append(data)
        left -= len(data)
    return b"".join(pieces)


class _Blocks:
    """Cuts a sequence of blocks into runs of other lengths, and hashes those."""

    def __init__(self, blocks: Iterator[bytes | memoryview]) -> None:
        self._blocks = blocks
        self._block = memoryview(b"")
        self._at = 0

    def digest(self, length: int) -> bytes:
        end = self._at + length
        if end <= len(self._block):
            piece = self._block[self._at : end]
            self._at = end
            return sha256(piece).digest()
        running = sha256(self._block[self._at :])
        length = end - len(self._block)
        while True:
            self._block = memoryview(next(self._blocks))
            if length <= len(self._block):
                break
            running.update(self._block)
            length -= len(self._block)
        self._at = length
        running.update(self._block[:length])
        return running.digest()

    def skip(self, length: int) -> None:
        self._at += length
        while self._at > len(self._block):
            self._at -= len(self._block)
            self._block = memoryview(next(self._blocks))

    def end(self) -> None:
        """Go on to the end, where the decompressor checks what it can check only there."""
        for _ in self._blocks:
            pass


class _Feed:
    def __init__(self, data: memoryview) -> None:
        self.left = data

    def read(self, size: int, /) -> bytes:
        piece, self.left = self.left[:size], self.left[size:]
        return bytes(piece)


def _refuse(why: str) -> NoReturn:
    raise Untrusted(
        "A segment is not as it should be",
        why=why,
        next_step="Upload again; if it happens again, update the client.",
    )
