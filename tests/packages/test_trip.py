"""The trip of a release: directory, manifest, segments, store, package, host, directory."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from tests.packages.workbench import PROJECT, SCOPE, Workbench, contents, everything, noise
from turnout.base.errors import Conflict, InvalidInput, NotFound
from turnout.packages.building import build
from turnout.packages.hosting import HostReleases
from turnout.packages.scan import scan
from turnout.packages.segments import SEGMENT_BYTES

FILES = {
    "index.html": b"<h1>hello</h1>" * 50,
    "empty": b"",
    "assets/app.js": b"console.log(1)\n" * 400,
    "assets/again.js": b"console.log(1)\n" * 400,
    "deep/er/still/file.bin": noise(5000),
    "z\u00fcrich/\u65e5\u672c.txt": "\u65e5\u672c".encode(),
}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def test_what_arrives_is_what_was_scanned(bench: Workbench) -> None:
    source = bench.write("site", FILES)
    (source / "run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "run.sh").chmod(0o750)
    (source / "same.sh").write_bytes(b"#!/bin/sh\n")
    os.symlink("deep/er", source / "short")
    os.symlink("../index.html", source / "assets" / "home")
    release = bench.upload(scan(source))

    received = bench.deploy(release)

    tree = bench.host.tree(release)
    expected = {
        path: (kind, content, 0o755 if path == "run.sh" else 0o644 if kind == "file" else 0)
        for path, (kind, content, _) in contents(source).items()
    }
    assert contents(tree) == expected
    assert received.files == len(expected)
    assert bench.host.held() == [release]
    assert bench.host.verify(release) == []
    assert bench.host.manifest(release).release == release


def test_a_next_version_brings_only_what_changed(bench: Workbench) -> None:
    big = noise(300_000)
    first = bench.release("one", {**FILES, "big.bin": big})
    full = bench.deploy(first)
    second = bench.release("two", {**FILES, "big.bin": big, "index.html": b"new"})

    received = bench.deploy(second)

    assert received.received_bytes < full.received_bytes / 50
    assert received.reused_files == len(FILES)
    one, two = bench.host.tree(first), bench.host.tree(second)
    assert (two / "index.html").read_bytes() == b"new"
    assert (one / "index.html").read_bytes() == FILES["index.html"]
    assert (two / "big.bin").stat().st_ino == (one / "big.bin").stat().st_ino
    assert bench.host.verify(second) == []


def test_a_mode_that_changed_is_copied_not_linked(bench: Workbench) -> None:
    source = bench.write("one", {"tool": b"#!/bin/sh\n" * 10})
    first = bench.upload(scan(source))
    bench.deploy(first)
    (source / "tool").chmod(0o755)
    second = bench.upload(scan(source))

    bench.deploy(second)

    assert second != first
    assert (bench.host.tree(first) / "tool").stat().st_mode & 0o777 == 0o644
    assert (bench.host.tree(second) / "tool").stat().st_mode & 0o777 == 0o755


def test_a_large_file_travels_in_parts_and_arrives_whole(bench: Workbench) -> None:
    large = noise(2 * SEGMENT_BYTES + 4321)
    source = bench.write("site", {"a.bin": b"small", "large.bin": large, "copy/large.bin": large})
    scanned = scan(source)
    segments = list(build(scanned, scanned.paths))
    assert max(segment.plain_bytes for segment in segments) <= SEGMENT_BYTES
    assert len(segments) >= 3
    # In the worst order: the store completes the file when its last part is in.
    for segment in reversed(segments):
        bench.store.add_segment(PROJECT, segment.encode())
    release = bench.store.commit(PROJECT, scanned.manifest)

    bench.deploy(release)

    assert (bench.host.tree(release) / "copy/large.bin").read_bytes() == large
    assert b"".join(bench.store.blob(PROJECT, scanned.manifest.entries[1].digest)) == large


def test_an_interrupted_upload_goes_on_where_it_stopped(bench: Workbench) -> None:
    large = noise(3 * SEGMENT_BYTES + 17)
    scanned = scan(bench.write("site", {"large.bin": large, "small.txt": b"x" * 100}))
    missing = bench.store.missing(PROJECT, scanned.manifest)
    for segment in list(build(scanned, missing))[:2]:
        bench.store.add_segment(PROJECT, segment.encode())

    again = Workbench(bench.root)
    missing = again.store.missing(PROJECT, scanned.manifest)
    held = again.store.held_parts(PROJECT, scanned.manifest)
    rest = list(build(scanned, missing, held))
    for segment in rest:
        again.store.add_segment(PROJECT, segment.encode())

    assert sum(segment.plain_bytes for segment in rest) == len(large) + 100 - 2 * SEGMENT_BYTES
    assert again.store.commit(PROJECT, scanned.manifest) == scanned.manifest.release


def test_a_release_without_all_its_files_is_not_committed(bench: Workbench) -> None:
    scanned = scan(bench.write("site", FILES))

    with pytest.raises(InvalidInput, match="all its files") as caught:
        bench.store.commit(PROJECT, scanned.manifest)

    assert caught.value.facts["missing"] == len(scanned.manifest.sizes)
    assert not bench.store.has(PROJECT, scanned.manifest.release)


def test_projects_do_not_see_each_others_files(bench: Workbench) -> None:
    scanned = scan(bench.write("site", FILES))
    bench.upload(scanned)

    assert bench.store.missing(PROJECT, scanned.manifest) == []
    assert len(bench.store.missing("other", scanned.manifest)) == len(scanned.manifest.sizes)


def test_adding_a_segment_twice_changes_nothing(bench: Workbench) -> None:
    scanned = scan(bench.write("site", FILES))
    (segment,) = build(scanned, scanned.paths)
    first = bench.store.add_segment(PROJECT, segment.encode())
    before = everything(bench.root / "store")

    assert bench.store.add_segment(PROJECT, io.BytesIO(segment.encode())) == first
    assert everything(bench.root / "store") == before


def test_receiving_again_is_harmless_and_mends_what_was_damaged(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    bench.deploy(release)
    tree = bench.host.tree(release)
    (tree / "index.html").unlink()
    (tree / "index.html").write_bytes(b"damaged")
    assert bench.host.verify(release) == ["index.html"]

    bench.deploy(release)

    assert bench.host.verify(release) == []
    assert bench.host.sweep() == 0


def test_a_touched_file_of_equal_content_is_still_held(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    bench.deploy(release)
    os.utime(bench.host.tree(release) / "index.html")

    assert bench.host.missing(bench.store.manifest(PROJECT, release)) == []


def test_the_store_tells_a_stranger_nothing(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    package = bench.seal(release)
    names = "\n".join(everything(bench.root / "store"))
    stored = b"".join(
        path.read_bytes() for path in (bench.root / "store").rglob("*") if path.is_file()
    )

    assert release not in names
    assert b"hello" not in stored
    assert b"assets/app.js" not in stored
    assert b"assets/app.js" not in package.path.read_bytes()
    for digest in bench.store.manifest(PROJECT, release).sizes:
        assert digest not in names
        assert bytes.fromhex(digest) not in stored


def test_every_sealing_run_has_its_own_key(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    first, second = bench.seal(release), bench.seal(release)
    assert first.path != second.path
    tail = slice(len(first.placement) + 64, None)
    assert first.path.read_bytes()[tail] != second.path.read_bytes()[tail]

    bench.store.discard(first)
    bench.store.discard(first)

    assert not first.path.exists()
    assert second.path.exists()


def test_a_package_is_for_its_own_project_only(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    with pytest.raises(InvalidInput, match="another project"):
        bench.store.seal(PROJECT, release, "other/production", 1)
    with pytest.raises(InvalidInput, match="does not have"):
        bench.store.seal(PROJECT, release, SCOPE, 1, ["0" * 64])
    with pytest.raises(NotFound):
        bench.store.seal(PROJECT, "0" * 64, SCOPE, 1)
    with pytest.raises(InvalidInput):
        bench.store.has(PROJECT, "../../etc")


def test_a_removed_release_is_gone_and_its_files_elsewhere_stay(bench: Workbench) -> None:
    first = bench.release("one", FILES)
    second = bench.release("two", {**FILES, "index.html": b"new"})
    bench.deploy(first)
    bench.deploy(second)

    assert bench.host.remove(first)
    assert not bench.host.remove(first)

    assert bench.host.held() == [second]
    assert bench.host.verify(second) == []
    with pytest.raises(NotFound):
        bench.host.tree(first)


def test_a_release_is_received_by_one_call_at_a_time(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    package = bench.seal(release).path.read_bytes()

    class Nested(io.BytesIO):
        asked = False

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if self.tell() > len(package) // 2 and not self.asked:
                self.asked = True
                with pytest.raises(Conflict):
                    bench.receive(package)
            return data

    stream = Nested(package)
    key = bench.keyring.environment_key(SCOPE)
    bench.host.receive(stream, key, bench.keyring.public_key, SCOPE, release)
    assert stream.asked


def test_many_threads_deliver_different_releases(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    bench = Workbench(tmp_path)
    releases = [bench.release(f"r{n}", {**FILES, "n": b"%d" % n}) for n in range(6)]
    hosts = [HostReleases(tmp_path / f"host{n}") for n in range(6)]
    packages = [bench.seal(release) for release in releases]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(bench.receive, packages, hosts))
    for host, release in zip(hosts, releases, strict=True):
        assert host.verify(release) == []
