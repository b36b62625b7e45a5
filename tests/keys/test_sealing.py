"""Sealing: what was sealed opens, and no changed, moved, repeated or missing frame does."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.base.errors import Untrusted
from turnout.keys import mac, sealing
from turnout.keys.sealing import FRAME, SealingWriter, UnsealingReader, seal_bytes, unseal_bytes

KEY = bytes(range(32))
WHOLE = 4 + FRAME + sealing.TAG


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 5])
def test_what_is_sealed_opens(size: int) -> None:
    plain = bytes(size)
    sealed = seal_bytes(KEY, plain, b"c")
    assert unseal_bytes(KEY, sealed, b"c") == plain
    assert len(sealed) == size + max(1, -(-size // FRAME)) * 20


@given(st.lists(st.binary(max_size=100), max_size=10), st.integers(1, 70))
def test_pieces_do_not_matter(pieces: list[bytes], ask: int) -> None:
    frames: list[bytes] = []
    writer = SealingWriter(KEY, lambda frame: frames.append(bytes(frame)), b"")
    for piece in pieces:
        writer.write(piece)
    writer.close()
    assert b"".join(frames) == seal_bytes(KEY, b"".join(pieces), b"")
    # A stream that gives single bytes, as a slow socket may.
    stream = io.BytesIO(b"".join(frames))
    reader = UnsealingReader(KEY, lambda size: stream.read(min(size, 1)), b"")
    assert b"".join(iter(lambda: reader.read(ask), b"")) == b"".join(pieces)


def test_large_writes_are_cut_into_frames() -> None:
    sizes: list[int] = []
    writer = SealingWriter(KEY, lambda frame: sizes.append(len(frame)), b"")
    writer.write(b"x")
    writer.write(bytes(3 * FRAME))
    writer.close()
    assert sizes == [WHOLE, WHOLE, WHOLE, 4 + 1 + sealing.TAG]


@given(st.binary(max_size=300), st.data())
def test_any_changed_byte_is_found(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal_bytes(KEY, plain, b"c"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Untrusted):
        unseal_bytes(KEY, bytes(sealed), b"c")


ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the last frame is missing": lambda f: f[:-1],
    "all frames are missing": lambda f: [],
    "the first frame is missing": lambda f: f[1:],
    "two frames are swapped": lambda f: [f[1], f[0], f[2]],
    "a frame is repeated": lambda f: [f[0], f[0], f[1], f[2]],
    "a middle frame is missing": lambda f: [f[0], f[2]],
    "something follows": lambda f: [*f, b"x"],
    "the last frame is cut": lambda f: [*f[:-1], f[-1][:-1]],
    "a full frame claims to be the last": lambda f: [bytes([f[0][0] | 0x80]) + f[0][1:]],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_frames_cannot_be_rearranged(attack: str) -> None:
    sealed = seal_bytes(KEY, bytes(2 * FRAME + 7), b"c")
    frames = [sealed[:WHOLE], sealed[WHOLE : 2 * WHOLE], sealed[2 * WHOLE :]]
    with pytest.raises(Untrusted):
        unseal_bytes(KEY, b"".join(ATTACKS[attack](frames)), b"c")


def test_another_key_or_context_does_not_open() -> None:
    sealed = seal_bytes(KEY, b"secret", b"c")
    for key, context in ((bytes(32), b"c"), (KEY, b"d"), (KEY, b"")):
        with pytest.raises(Untrusted):
            unseal_bytes(key, sealed, context)


def test_a_huge_frame_is_refused_before_it_is_read() -> None:
    asked: list[int] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return b"\x7f\xff\xff\xff"[:size]

    with pytest.raises(Untrusted, match="size"):
        UnsealingReader(KEY, read, b"").read(1)
    assert asked == [4]


def test_derived_keys_and_macs_are_told_apart() -> None:
    assert mac.derive(KEY, "a", "bc") != mac.derive(KEY, "ab", "c") != mac.derive(KEY, "abc")
    assert mac.mac(KEY, b"a", b"bc") != mac.mac(KEY, b"ab", b"c") != mac.mac(KEY, b"abc")
    assert mac.same(mac.mac(KEY, b"a"), mac.mac(KEY, b"a"))
    assert not mac.same(mac.mac(KEY, b"a"), mac.mac(KEY, b"b"))


def test_hkdf_and_hmac_are_the_published_ones() -> None:
    """Against values computed by hand from RFC 5869 and RFC 2104 with hashlib alone."""
    import hashlib
    import hmac

    info = b"turnout/1" + (1).to_bytes(4, "big") + b"x"
    assert mac.derive(KEY, "x") == hmac.new(KEY, info + b"\x01", hashlib.sha256).digest()
    running = mac.running_mac(KEY)
    running.update(b"ab")
    assert running.digest() == hmac.new(KEY, b"ab", hashlib.sha256).digest()
