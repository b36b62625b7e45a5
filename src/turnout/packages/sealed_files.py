"""Sealed files: how the store keeps segments and manifests on its disk.

    "TSTO"  u8 version  3 zero bytes
    the file's own random key, wrapped by the project's store key
    u32 length of the sealed head, the sealed head            (numbers little-endian)
    the sealed body, to the end

Each file has a key of its own, so removing the file destroys the only copy of it.  The context
holds the file's name: a file that somebody put in another's place cannot be opened.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from turnout.base.errors import Untrusted
from turnout.keys import sealing
from turnout.keys.mac import derive
from turnout.packages.disk import write_whole
from turnout.packages.segments import Segment, read_header

MAGIC = b"TSTO\x01\0\0\0"
_LENGTH = struct.Struct("<I")
_FIXED = len(MAGIC) + sealing.WRAPPED_BYTES + _LENGTH.size


def write_sealed(
    path: Path, store_key: bytes, head: bytes, body: bytes | bytearray | memoryview
) -> int:
    """Write a sealed file, whole or not at all, and return its size."""
    return write_whole(path, _sealed(path.name, store_key, head, body))


def read_head(path: Path, store_key: bytes) -> bytes:
    """Return the head of a sealed file.

    Raises:
        Untrusted: It was changed or belongs elsewhere.
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=64 << 10) as file:
        key, length = _open(file.read(_FIXED), path.name, store_key)
        return sealing.unseal_bytes(derive(key, "head"), file.read(length), path.name.encode())


def read_both(path: Path, store_key: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of a sealed file; raises as :func:`read_head`."""
    content = memoryview(path.read_bytes())
    key, length = _open(bytes(content[:_FIXED]), path.name, store_key)
    name = path.name.encode()
    head = sealing.unseal_bytes(derive(key, "head"), content[_FIXED : _FIXED + length], name)
    body = sealing.unseal_bytes(derive(key, "body"), content[_FIXED + length :], name)
    return head, body


def write_segment(path: Path, store_key: bytes, segment: Segment) -> int:
    """Write a segment as it came: packed already, so it is never packed twice."""
    return write_sealed(path, store_key, segment.header(), segment.packed)


def read_segment_parts(path: Path, store_key: bytes) -> Segment:
    """Return a segment without its packed bytes; raises as :func:`read_head`."""
    return read_header(_Bytes(read_head(path, store_key)))[0]


def read_segment(path: Path, store_key: bytes) -> Segment:
    """Return a segment; raises as :func:`read_head`."""
    head, body = read_both(path, store_key)
    segment, packed_bytes = read_header(_Bytes(head))
    if packed_bytes != len(body):
        raise Untrusted("A stored segment has another size than its head says", subject=path.name)
    return replace(segment, packed=body)


def _sealed(
    name: str, store_key: bytes, head: bytes, body: bytes | bytearray | memoryview
) -> Iterator[bytes]:
    key = sealing.new_key()
    context = name.encode()
    sealed_head = sealing.seal_bytes(derive(key, "head"), head, context)
    yield MAGIC + sealing.wrap_key(store_key, key, name) + _LENGTH.pack(len(sealed_head))
    yield sealed_head
    yield from sealing.seal_frames(derive(key, "body"), body, context)


def _open(fixed: bytes, name: str, store_key: bytes) -> tuple[bytes, int]:
    if len(fixed) < _FIXED or not fixed.startswith(MAGIC):
        raise Untrusted("A file of the store is damaged", subject=name)
    wrapped = fixed[len(MAGIC) : len(MAGIC) + sealing.WRAPPED_BYTES]
    (length,) = _LENGTH.unpack(fixed[-_LENGTH.size :])
    return sealing.unwrap_key(store_key, wrapped, name), length


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def read(self, size: int, /) -> bytes:
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)
