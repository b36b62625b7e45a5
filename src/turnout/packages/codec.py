"""Compression: zstd, with the sizes a peer declares as the decompressor's limits."""

from __future__ import annotations

import sys
from collections.abc import Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from turnout.base.errors import Untrusted

STORED = 0
ZSTD = 1
ZSTD_PREFIX = 2
"""Reserved: zstd against a prefix that the receiver holds."""

LEVEL = 2
"""Measured on 400 MB of node_modules with a window of 8 MiB: level 1 0.71 s and 94.8 MB, level 2
0.79 s and 85.2 MB, level 3 1.30 s and 80.2 MB; with long-distance matching 3.07 s and 79.0 MB."""

WINDOW_LOG = 23
"""8 MiB: a whole segment is in reach."""

_PARAMETERS = zstd.CompressionParameter
_WORTH = 0.97
_BLOCK = 128 << 10
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_RUN_OF_ONE_BYTE = 1


def compress(data: bytes | bytearray | memoryview) -> tuple[int, bytes]:
    """Return the codec that was used and the data in it; STORED where zstd gains nothing.

    The result is not part of *data*, which may be used again.
    """
    if not len(data):
        return STORED, b""
    options: dict[int, int] = {
        _PARAMETERS.compression_level: LEVEL,
        _PARAMETERS.window_log: WINDOW_LOG,
        _PARAMETERS.content_size_flag: 1,
    }
    packed = zstd.compress(data, options=options)
    return (ZSTD, packed) if len(packed) < _WORTH * len(data) else (STORED, bytes(data))


def decompress(codec: int, data: bytes | memoryview, size: int) -> bytes:
    """Return *data* decompressed, which must come out as *size* bytes exactly.

    Raises:
        Untrusted: It comes out longer or shorter, is damaged, or the codec is unknown.
    """
    return b"".join(blocks(codec, data, size))


def decompress_into(codec: int, data: bytes | memoryview, target: memoryview) -> None:
    """Fill *target* with *data* decompressed, which must have its size exactly.

    Raises:
        Untrusted: As :func:`decompress`.
    """
    at = 0
    for block in blocks(codec, data, len(target)):
        target[at : at + len(block)] = block
        at += len(block)


def blocks(codec: int, data: bytes | memoryview, size: int) -> Iterator[bytes | memoryview]:
    """Yield *data* decompressed in short blocks, which together must be *size* bytes exactly.

    Never more than a block above *size* is produced.  Short blocks because memory for a whole
    segment comes from the kernel anew each time, page by page, which took longer than unpacking.

    Raises:
        Untrusted: As :func:`decompress`, but perhaps only after some blocks.
    """
    if codec == STORED:
        if len(data) != size:
            raise Untrusted("Stored data has another size than declared")
        yield data
        return
    if codec != ZSTD:
        raise Untrusted(
            f"Data is compressed in a way this version does not know ({codec})",
            next_step="Bring both sides to the same version.",
        )
    if not _is_one_frame(data, size):
        raise Untrusted("Compressed data has another size than declared, or ends too early")
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
    machine = zstd.ZstdDecompressor(options=options)
    left = size
    while not machine.eof:
        try:
            block = machine.decompress(data, _BLOCK)
        except zstd.ZstdError as error:
            raise Untrusted("Compressed data is damaged", why=str(error)) from error
        data = b""
        left -= len(block)
        if left < 0 or (not block and machine.needs_input):
            raise Untrusted("Compressed data has another size than declared")
        yield block
    if left:
        raise Untrusted("Compressed data has another size than declared")


def _is_one_frame(data: bytes | memoryview, size: int) -> bool:
    """Return whether *data* is one whole frame that declares *size* (RFC 8878, section 3.1.1)."""
    if len(data) < 6 or data[:4] != _FRAME_MAGIC:
        return False
    descriptor = data[4]
    single_segment = descriptor >> 5 & 1
    at = 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3]
    width = (single_segment, 2, 4, 8)[descriptor >> 6]
    declared = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    if not width or declared != size:
        return False
    at += width
    last = False
    while not last:
        if at + 3 > len(data):
            return False
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = bool(head & 1), head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == _RUN_OF_ONE_BYTE else length)
    return at + 4 * (descriptor >> 2 & 1) == len(data)
