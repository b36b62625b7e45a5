"""Segments: what is packed comes out, and nothing else is believed."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packages.workbench import Workbench, noise, segment_of
from turnout.base.errors import InvalidInput, Untrusted
from turnout.packages import codec
from turnout.packages.building import build, plan
from turnout.packages.pipeline import in_order
from turnout.packages.scan import scan
from turnout.packages.segments import (
    SEGMENT_BYTES,
    Part,
    Segment,
    SegmentLimits,
    decode,
    pack,
)

CONTENTS = st.lists(st.binary(max_size=200), min_size=1, max_size=8)


@given(CONTENTS)
def test_a_segment_survives_its_wire_form(files: list[bytes]) -> None:
    segment = segment_of(*files)
    for source in (segment.encode(), io.BytesIO(segment.encode())):
        found = decode(source)
        assert [bytes(content) for _, content in found.pieces()] == files
        assert found.parts == segment.parts


@given(CONTENTS, st.data())
def test_a_changed_segment_is_refused_or_says_other_things(
    files: list[bytes], data: st.DataObject
) -> None:
    wire = bytearray(segment_of(*files).encode())
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(wire))
        pieces = list(found.pieces())
    except Untrusted:
        return
    assert sum(len(content) for _, content in pieces) == found.plain_bytes


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Untrusted):
        decode(data)


@given(CONTENTS, st.integers(0, 1000))
def test_a_segment_that_is_cut_or_longer_is_refused(files: list[bytes], cut: int) -> None:
    wire = segment_of(*files).encode()
    with pytest.raises(Untrusted):
        decode(wire[: min(cut, len(wire) - 1)])
    with pytest.raises(Untrusted):
        decode(wire + b"x")


def test_a_bomb_is_stopped_at_its_declared_size() -> None:
    bomb = codec.compress(bytes(64 << 20))[1]
    part = Part(b"d" * 32, 0, 1000, 1000)
    with pytest.raises(Untrusted, match="another size"):
        Segment((part,), codec.ZSTD, 1000, bomb).plain()
    with pytest.raises(Untrusted, match="more parts or bytes"):
        declared = Part(b"d" * 32, 0, 64 << 20, 64 << 20)
        decode(Segment((declared,), codec.ZSTD, 64 << 20, bomb).encode())


def test_a_window_beyond_a_segment_is_refused() -> None:
    from backports import zstd

    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    machine = zstd.ZstdCompressor(options=options)
    data = machine.compress(b"a" * 100) + machine.flush()
    with pytest.raises(Untrusted):
        codec.decompress(codec.ZSTD, data, 100)


def test_a_frame_that_makes_more_than_it_declares_is_stopped_at_once() -> None:
    """A thousand bytes declared, a thousand times as much in it, in four bytes a block."""
    import tracemalloc

    head = b"\x28\xb5\x2f\xfd" + bytes([0x60]) + (1000 - 256).to_bytes(2, "little")
    block = (1000 << 3 | 1 << 1).to_bytes(3, "little") + b"x"
    last = (1000 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"x"
    assert codec.decompress(codec.ZSTD, head + last, 1000) == b"x" * 1000
    tracemalloc.start()
    try:
        for frames in (block * 100_000 + last, block * 100_000):
            with pytest.raises(Untrusted):
                codec.decompress(codec.ZSTD, head + frames, 1000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=100_000), st.booleans())
def test_every_frame_that_we_write_is_read(data: bytes, repeated: bool) -> None:
    plain = data * 50 if repeated else data
    used, packed = codec.compress(plain)
    assert codec.decompress(used, packed, len(plain)) == plain


def test_two_frames_are_not_one() -> None:
    packed = codec.compress(b"a" * 100)[1]
    with pytest.raises(Untrusted):
        codec.decompress(codec.ZSTD, bytes(packed) * 2, 200)


def test_contradictions_are_refused() -> None:
    digest = b"d" * 32
    for part in (
        Part(digest, 0, 5, 4),
        Part(digest, 2, 4, 5),
        Part(digest, 0, 0, 5),
        Part(digest, 2**64 - 1, 4, 2**64 - 1),
    ):
        wire = Segment((part,), codec.STORED, part.length, bytes(part.length)).encode()
        with pytest.raises(Untrusted):
            decode(wire)
    with pytest.raises(Untrusted, match="other lengths"):
        decode(Segment((Part(digest, 0, 4, 4),), codec.STORED, 5, b"12345").encode())
    with pytest.raises(Untrusted, match="more parts"):
        decode(struct.pack("<4sBBHIII", b"TSEG", 1, 0, 0, 2**32 - 1, 0, 0))
    with pytest.raises(Untrusted, match="version 2"):
        decode(struct.pack("<4sBBHIII", b"TSEG", 2, 0, 0, 1, 0, 0))
    with pytest.raises(Untrusted, match="does not know"):
        Segment((Part(digest, 0, 4, 4),), codec.ZSTD_PREFIX, 4, b"1234").plain()


def test_the_limits_can_be_tighter() -> None:
    wire = segment_of(b"12345", b"1").encode()
    for limits in (SegmentLimits(plain_bytes=5), SegmentLimits(parts=1)):
        with pytest.raises(Untrusted):
            decode(wire, limits)
    assert len(wire) <= SegmentLimits(plain_bytes=6, parts=2).wire_bytes


def test_what_does_not_shrink_is_stored() -> None:
    data = noise(10_000)
    segment = pack([Part(b"d" * 32, 0, len(data), len(data))], data)
    assert segment.codec == codec.STORED
    assert segment.plain() == data


def test_alike_files_lie_together_in_segments_of_the_right_size(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    files = {f"d{n}/file{n}.{'js' if n % 2 else 'css'}": noise(3 << 20, n) for n in range(6)}
    scanned = scan(bench.write("one", {**files, "zero": b"", "big.bin": noise(9 << 20, 99)}))
    segments = list(plan(scanned, scanned.paths, {}))
    flat = [(run.path, run.part.offset) for runs in segments for run in runs]
    endings = [path.rpartition(".")[2] for path, _ in flat if "file" in path]
    assert endings == sorted(endings)
    assert flat.count(("zero", 0)) == 1
    assert [offset for path, offset in flat if path == "big.bin"] == [0, SEGMENT_BYTES]
    for runs in segments:
        assert 0 <= sum(run.part.length for run in runs) <= SEGMENT_BYTES
    assert [s.encode() for s in build(scanned, scanned.paths)] == [
        s.encode() for s in build(scanned, reversed(list(scanned.paths)))
    ]


def test_a_digest_that_was_not_scanned_is_refused(tmp_path: Path) -> None:
    scanned = scan(Workbench(tmp_path).write("one", {"a": b"1"}))
    with pytest.raises(InvalidInput, match="not scanned"):
        list(build(scanned, ["0" * 64]))


def test_the_pipeline_takes_no_more_than_it_may_and_keeps_the_order() -> None:
    taken: list[int] = []

    def items() -> object:
        for n in range(50):
            taken.append(n)
            yield n

    done = []
    for result in in_order(lambda n: n * n, items(), 3, 4):  # type: ignore[arg-type]
        done.append(result)
        assert len(taken) - len(done) <= 4
    assert done == [n * n for n in range(50)]


def test_the_pipeline_passes_on_an_error_and_stops() -> None:
    def work(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    taken = iter(range(1000))
    with pytest.raises(ValueError, match="three"):
        list(in_order(work, taken, 2, 4))
    assert next(taken) < 20
