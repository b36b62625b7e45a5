"""Uploads and store files that somebody changed: nothing of them is ever served or kept."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import pytest

from tests.packages.workbench import (
    PROJECT,
    Workbench,
    entry,
    everything,
    noise,
    segment_of,
    unchecked,
)
from turnout.base.errors import InvalidInput, NotFound, TurnoutError, Untrusted
from turnout.packages import codec
from turnout.packages.building import build
from turnout.packages.manifest import manifest_of
from turnout.packages.scan import scan
from turnout.packages.segments import SEGMENT_BYTES, Part, Segment, pack
from turnout.packages.store import Store


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path)
    made.store.usage(PROJECT)
    return made


def refused(bench: Workbench, data: bytes) -> None:
    before = everything(bench.root / "store")
    with pytest.raises(Untrusted):
        bench.store.add_segment(PROJECT, data)
    with pytest.raises(Untrusted):
        bench.store.add_segment(PROJECT, io.BytesIO(data))
    assert everything(bench.root / "store") == before


def test_a_file_that_is_not_its_digest_is_refused(bench: Workbench) -> None:
    digest = hashlib.sha256(b"good").digest()
    good = Part(hashlib.sha256(b"fine").digest(), 0, 4, 4)
    refused(bench, pack([good, Part(digest, 0, 4, 4)], b"fineevil").encode())


def test_a_changed_or_cut_segment_is_refused(bench: Workbench) -> None:
    wire = segment_of(noise(100), b"text" * 100).encode()
    for at in range(len(wire)):
        changed = wire[:at] + bytes([wire[at] ^ 0x40]) + wire[at + 1 :]
        try:
            complete = bench.store.add_segment(PROJECT, changed)
        except Untrusted:
            continue
        # A changed size makes a file a part of a larger one, which never becomes complete.
        assert complete == 1
    for data in (b"", wire[:-1], wire + b"x"):
        refused(bench, data)
    right = {hashlib.sha256(data).hexdigest() for data in (noise(100), b"text" * 100)}
    found = {digest.hex() for digest in bench.store._room(PROJECT).index.digests()}
    assert found <= right
    for digest in found:
        assert hashlib.sha256(b"".join(bench.store.blob(PROJECT, digest))).hexdigest() == digest


def test_a_bomb_is_refused(bench: Workbench) -> None:
    packed = bytes(codec.compress(bytes(256 << 20))[1])
    part = Part(b"d" * 32, 0, SEGMENT_BYTES, SEGMENT_BYTES)
    refused(bench, Segment((part,), codec.ZSTD, SEGMENT_BYTES, packed).encode())


def test_a_stream_that_goes_on_is_refused(bench: Workbench) -> None:
    with pytest.raises(Untrusted, match="followed"):
        bench.store.add_segment(PROJECT, io.BytesIO(segment_of(b"1").encode() + b"x"))


def test_parts_that_do_not_make_the_file_are_dropped_and_can_come_again(bench: Workbench) -> None:
    """One bad part; the client cannot know which, so all come again, in any cut."""
    content = noise(1000)
    digest = hashlib.sha256(content).digest()
    manifest = manifest_of([entry("a", content), entry("other", b"other")])
    other = Part(hashlib.sha256(b"other").digest(), 0, 5, 5)
    bad = pack([other, Part(digest, 0, 600, 1000)], b"other" + noise(600, 9))
    tail = pack([Part(digest, 600, 400, 1000)], content[600:])
    bench.store.add_segment(PROJECT, bad.encode())
    assert bench.store.missing(PROJECT, manifest) == [manifest.entries[0].digest]
    with pytest.raises(Untrusted, match="not what its digest"):
        bench.store.add_segment(PROJECT, tail.encode())
    assert bench.store.held_parts(PROJECT, manifest) == {}
    # What came with the bad part and was right is kept.
    assert bench.store.missing(PROJECT, manifest) == [manifest.entries[0].digest]

    for offset, length in ((0, 300), (300, 700)):
        part = Part(digest, offset, length, 1000)
        bench.store.add_segment(PROJECT, pack([part], content[offset : offset + length]).encode())

    for store in (bench.store, Store(bench.root / "store", bench.keyring)):
        assert store.missing(PROJECT, manifest) == []
        assert b"".join(store.blob(PROJECT, digest.hex())) == content


def test_the_same_bad_part_twice_does_not_poison_the_good_one(bench: Workbench) -> None:
    content = noise(1000)
    digest = hashlib.sha256(content).digest()
    first, second = Part(digest, 0, 600, 1000), Part(digest, 600, 400, 1000)
    bench.store.add_segment(PROJECT, pack([first], noise(600, 9)).encode())
    bench.store.add_segment(PROJECT, pack([first], content[:600]).encode())
    assert bench.store.add_segment(PROJECT, pack([second], content[600:]).encode()) == 1
    # A late bad copy of a part of a file that is complete is not even written.
    bench.store.add_segment(PROJECT, pack([first], noise(600, 8)).encode())
    for store in (bench.store, Store(bench.root / "store", bench.keyring)):
        assert b"".join(store.blob(PROJECT, digest.hex())) == content


def test_a_part_in_another_cut_cannot_replace_a_verified_one(bench: Workbench) -> None:
    content = noise(1000)
    digest = hashlib.sha256(content).digest()
    for offset, length in ((0, 600), (600, 400)):
        part = Part(digest, offset, length, 1000)
        bench.store.add_segment(PROJECT, pack([part], content[offset : offset + length]).encode())
    evil = pack([Part(digest, 0, 500, 1000)], noise(500, 7))
    bench.store.add_segment(PROJECT, evil.encode())
    for store in (bench.store, Store(bench.root / "store", bench.keyring)):
        assert b"".join(store.blob(PROJECT, digest.hex())) == content


def test_a_manifest_that_lies_about_a_size_is_not_committed(bench: Workbench) -> None:
    bench.store.add_segment(PROJECT, segment_of(b"1234").encode())
    lying = manifest_of([entry("a", b"1234")._replace(size=9)])
    assert len(bench.store.missing(PROJECT, lying)) == 1
    with pytest.raises(InvalidInput, match="all its files"):
        bench.store.commit(PROJECT, lying)


@pytest.mark.parametrize("project", ["", "..", "a/b", "../x", "A", "x" * 41])
def test_a_project_is_a_name(bench: Workbench, project: str) -> None:
    with pytest.raises(InvalidInput):
        bench.store.add_segment(project, segment_of(b"1").encode())
    with pytest.raises(InvalidInput):
        bench.store.missing(project, unchecked(entry("a")))


def test_stored_files_that_were_changed_are_never_served(bench: Workbench) -> None:
    scanned = scan(bench.write("site", {"a": b"text" * 100, "b": noise(100)}))
    release = bench.upload(scanned)
    (path,) = (bench.root / "store").rglob("*.seg")
    content = path.read_bytes()
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        fresh = Store(bench.root / "store", bench.keyring)
        with pytest.raises(TurnoutError):
            for digest in scanned.manifest.sizes:
                b"".join(fresh.blob(PROJECT, digest))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TurnoutError):
        Store(bench.root / "store", bench.keyring).seal(PROJECT, release, "shop/production", 1)
    assert not list((bench.root / "store").rglob("*.pkg"))


def test_what_was_damaged_counts_as_lacking_and_is_healed_by_an_upload(bench: Workbench) -> None:
    scanned = scan(bench.write("site", {"a": b"text" * 100, "b": noise(100)}))
    release = bench.upload(scanned)
    (path,) = (bench.root / "store").rglob("*.seg")
    path.write_bytes(b"damaged")
    again = Workbench(bench.root)
    assert again.upload(scanned) == release
    again.deploy(release)
    assert again.host.verify(release) == []


def test_stored_files_cannot_change_places(bench: Workbench) -> None:
    for content in (b"one", b"two"):
        bench.store.add_segment(PROJECT, segment_of(content).encode())
    first, second = (bench.root / "store").rglob("*.seg")
    first.rename(first.with_suffix(".x"))
    second.rename(first)
    first.with_suffix(".x").rename(second)
    fresh = Store(bench.root / "store", bench.keyring)
    assert fresh.usage(PROJECT).blobs == 0


def test_one_projects_files_are_no_good_in_another(bench: Workbench) -> None:
    release = bench.release("site", {"a": b"1"})
    shutil.copytree(bench.root / "store" / PROJECT, bench.root / "store" / "other")
    fresh = Store(bench.root / "store", bench.keyring)
    assert fresh.usage("other").blobs == 0
    assert not fresh.has("other", release)
    with pytest.raises(NotFound):
        fresh.manifest("other", release)


def test_a_file_that_changed_under_the_client_is_caught_by_the_server_too(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the client's own check fail, the digest still does not match."""
    from turnout.packages import hashing

    root = bench.write("site", {"a": b"1" * 100})
    scanned = scan(root)
    monkeypatch.setattr(hashing, "_check_mark", lambda *_: None)
    (root / "a").write_bytes(b"2" * 100)
    (segment,) = build(scanned, scanned.paths)
    with pytest.raises(Untrusted):
        bench.store.add_segment(PROJECT, segment.encode())
