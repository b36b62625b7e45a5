"""Sealing: AES-256-GCM in frames of 1 MiB, and the wrapping of the keys it uses.

A stream is cut into frames.  The nonce of a frame is its number, which is safe because every
sealing run takes a fresh random key; the additional data holds the context and whether the
frame is the last, so a frame that is changed, moved, repeated or missing is found.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from turnout.base.errors import Untrusted
from turnout.keys.mac import KEY_BYTES

FRAME = 1 << 20
"""Plaintext bytes of a frame; 1 MiB measured fastest (a 64 MiB ``encrypt`` took six times
as long a byte)."""

TAG = 16
_HEAD = 4
_LAST = 1 << 31
_WRAP_NONCE = 12
WRAPPED_BYTES = _WRAP_NONCE + KEY_BYTES + TAG

_RESTORE = "Bring the file back from a backup; what is live goes on serving meanwhile."


def new_key() -> bytes:
    """Return 32 random bytes for one sealing run."""
    return secrets.token_bytes(KEY_BYTES)


def wrap_key(wrapping_key: bytes, key: bytes, context: str) -> bytes:
    """Return *key* encrypted under *wrapping_key* and bound to *context*.

    The nonce is random, which NIST SP 800-38D allows for 2**32 keys under one wrapping key.
    """
    nonce = secrets.token_bytes(_WRAP_NONCE)
    return nonce + AESGCM(wrapping_key).encrypt(nonce, key, context.encode())


def unwrap_key(wrapping_key: bytes, wrapped: bytes, context: str) -> bytes:
    """Return the key that :func:`wrap_key` wrapped.

    Raises:
        Untrusted: It was wrapped under another key or for another context, or was changed.
    """
    if len(wrapped) != WRAPPED_BYTES:
        raise Untrusted(
            "A wrapped key cannot be opened",
            subject=context,
            why=f"it has {len(wrapped)} bytes instead of {WRAPPED_BYTES}",
            next_step=_RESTORE,
        )
    try:
        return AESGCM(wrapping_key).decrypt(
            wrapped[:_WRAP_NONCE], wrapped[_WRAP_NONCE:], context.encode()
        )
    except InvalidTag as error:
        raise Untrusted(
            "A wrapped key cannot be opened",
            subject=context,
            why="it was wrapped under another key, for another purpose, or was changed",
            next_step=_RESTORE,
        ) from error


class SealingWriter:
    """Encrypts what is written and hands the frames on; :meth:`close` ends the stream.

    Args:
        key: 32 bytes that no other run uses.
        write: Gets every frame; the buffer is reused, so it must be done with it on return.
        context: What is sealed, to be named again when it is opened.
    """

    def __init__(self, key: bytes, write: Callable[[memoryview], object], context: bytes) -> None:
        self._cipher = AESGCM(key)
        self._write = write
        self._context = context
        self._sequence = 0
        self._pending = bytearray()
        self._out = memoryview(bytearray(_HEAD + FRAME + TAG))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        # The last frame must carry the flag, so a full frame waits until more follows it.
        while len(self._pending) + len(view) > FRAME:
            if self._pending:
                room = FRAME - len(self._pending)
                self._pending += view[:room]
                self._emit(self._pending, last=False)
                self._pending = bytearray()
            else:
                room = FRAME
                self._emit(view[:room], last=False)
            view = view[room:]
        self._pending += view

    def close(self) -> None:
        self._emit(self._pending, last=True)
        self._pending = bytearray()

    def _emit(self, plain: bytearray | memoryview, *, last: bool) -> None:
        size = len(plain) + TAG
        head = (size | (_LAST if last else 0)).to_bytes(_HEAD, "big")
        self._out[:_HEAD] = head
        nonce = self._sequence.to_bytes(12, "big")
        self._cipher.encrypt_into(
            nonce, plain, self._context + head, self._out[_HEAD : _HEAD + size]
        )
        self._write(self._out[: _HEAD + size])
        self._sequence += 1


class UnsealingReader:
    """Reads a sealed stream as a file of its plaintext; nothing unverified comes out of it.

    Args:
        key: The key of the sealing run.
        read: Returns up to so many bytes of the sealed stream, nothing at its end.
        context: What the sealer called it.
    """

    def __init__(self, key: bytes, read: Callable[[int], bytes], context: bytes) -> None:
        self._cipher = AESGCM(key)
        self._read = read
        self._context = context
        self._sequence = 0
        self._plain = memoryview(b"")
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes, fewer only at the end.

        Raises:
            Untrusted: A frame was changed, moved, or is missing.
        """
        if len(self._plain) >= size:
            piece, self._plain = self._plain[:size], self._plain[size:]
            return bytes(piece)
        pieces = []
        while size:
            if not self._plain:
                if self._ended:
                    break
                self._plain = memoryview(self._next_frame())
                continue
            piece, self._plain = self._plain[:size], self._plain[size:]
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _next_frame(self) -> bytes:
        head = self._exactly(_HEAD)
        number = int.from_bytes(head, "big")
        size, last = number & ~_LAST, bool(number & _LAST)
        if size > FRAME + TAG or size < TAG or (not last and size != FRAME + TAG):
            raise self._damaged("a frame has a size that no sealer writes")
        sealed = self._exactly(size)
        try:
            plain = self._cipher.decrypt(
                self._sequence.to_bytes(12, "big"), sealed, self._context + head
            )
        except InvalidTag as error:
            raise self._damaged(
                "it was changed, put in another order, or sealed under another key"
            ) from error
        self._sequence += 1
        self._ended = last
        return plain

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        while len(data) < size:
            more = self._read(size - len(data))
            if not more:
                raise self._damaged("it ends too early")
            data += more
        return data

    def _damaged(self, why: str) -> Untrusted:
        return _damaged(self._context, why)


def seal_bytes(key: bytes, plain: bytes | bytearray | memoryview, context: bytes) -> bytes:
    """Return *plain* as one sealed stream."""
    return b"".join(seal_frames(key, plain, context))


def seal_frames(
    key: bytes, plain: bytes | bytearray | memoryview, context: bytes
) -> Iterator[bytes]:
    """Yield the frames of *plain* as one sealed stream, one at a time."""
    frames: list[bytes] = []
    writer = SealingWriter(key, lambda frame: frames.append(bytes(frame)), context)
    view = memoryview(plain)
    for at in range(0, len(view), FRAME):
        writer.write(view[at : at + FRAME])
        yield from frames
        frames.clear()
    writer.close()
    yield from frames


def unseal_bytes(key: bytes, sealed: bytes | memoryview, context: bytes) -> bytes:
    """Return the plaintext of :func:`seal_bytes`.

    Raises:
        Untrusted: It was changed, or something follows it.
    """
    feed = _Feed(memoryview(sealed))
    reader = UnsealingReader(key, feed.read, context)
    plain = b"".join(iter(lambda: reader.read(FRAME), b""))
    if feed.left:
        raise _damaged(context, "something follows its end")
    return plain


def _damaged(context: bytes, why: str) -> Untrusted:
    named = context.decode("ascii", "replace")[:100]
    return Untrusted(
        "Sealed data cannot be opened",
        subject=named if named.isprintable() else "",
        why=why,
        next_step=_RESTORE,
    )


class _Feed:
    def __init__(self, data: memoryview) -> None:
        self.left = data

    def read(self, size: int) -> bytes:
        piece, self.left = self.left[:size], self.left[size:]
        return bytes(piece)
