"""Message authentication and key derivation: HMAC-SHA256 and HKDF-SHA256."""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32
MAC_BYTES = 32


class RunningMac(Protocol):
    """A MAC under way, as ``hmac.new`` returns it."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def running_mac(key: bytes) -> RunningMac:
    """Return an HMAC-SHA256 (RFC 2104) to be fed piece by piece."""
    return hmac.new(key, digestmod=hashlib.sha256)


def mac(key: bytes, *parts: bytes) -> bytes:
    """Return the HMAC-SHA256 of *parts*, each with its length, so that no two lists agree."""
    running = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        running.update(len(part).to_bytes(8, "big"))
        running.update(part)
    return running.digest()


def same(first: bytes, second: bytes) -> bool:
    """Return whether two MACs are equal, in time that does not tell where they differ."""
    return hmac.compare_digest(first, second)


def derive(key: bytes, *purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose (HKDF-Expand, RFC 5869).

    Args:
        key: A uniformly random key of at least 32 bytes, so that no extract step is needed.
        purpose: What it is for; different lists give unrelated keys.
    """
    info = b"turnout/1" + b"".join(
        len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in purpose)
    )
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=info).derive(key)
