"""Pruning: what is needed stays readable, what is not goes, and what is young is left alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.packages.workbench import PROJECT, Workbench, everything, noise
from turnout.base.errors import NotFound
from turnout.packages.building import build
from turnout.packages.scan import scan
from turnout.packages.segments import SEGMENT_BYTES
from turnout.packages.store import Store

AT_ONCE = -60.0
"""An age in the future: nothing counts as young."""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def readable(bench: Workbench, release: str) -> bool:
    bench.receive(bench.seal(release))
    return bench.host.verify(release) == []


def test_a_pruned_release_and_its_own_files_are_gone(bench: Workbench) -> None:
    shared = noise(50_000)
    old = bench.release("old", {"shared": shared, "mine": noise(40_000, 1)})
    package = bench.seal(old)
    new = bench.release("new", {"shared": shared, "other": b"x"})
    digests = bench.store.manifest(PROJECT, old).sizes

    report = bench.store.prune(PROJECT, {new}, AT_ONCE)

    assert report.releases == (old,)
    assert report.freed_bytes > 40_000
    assert not package.path.exists()
    assert not bench.store.has(PROJECT, old)
    with pytest.raises(NotFound):
        bench.store.manifest(PROJECT, old)
    held = bench.store.usage(PROJECT)
    assert (held.releases, held.blobs) == (1, 3 if report.segments == 0 else 2)
    assert readable(bench, new)
    gone = set(digests) - set(bench.store.manifest(PROJECT, new).sizes)
    if report.segments:
        for digest in gone:
            with pytest.raises(NotFound):
                list(bench.store.blob(PROJECT, digest))


def test_a_segment_of_mostly_garbage_is_rewritten(bench: Workbench) -> None:
    kept = noise(10_000)
    old = bench.release("old", {"kept": kept, **{f"x{n}": noise(10_000, n + 1) for n in range(9)}})
    new = bench.release("new", {"kept": kept})

    report = bench.store.prune(PROJECT, {new}, AT_ONCE)

    assert (report.releases, report.rewritten) == ((old,), 1)
    assert bench.store.usage(PROJECT).blobs == 1
    assert readable(bench, new)
    assert (
        Store(bench.root / "store", bench.keyring).missing(
            PROJECT, bench.store.manifest(PROJECT, new)
        )
        == []
    )


def test_what_is_young_stays(bench: Workbench) -> None:
    old = bench.release("old", {"a": b"1"})
    scanned = scan(bench.write("coming", {"b": b"2", "c": b"3"}))
    for segment in build(scanned, scanned.paths):
        bench.store.add_segment(PROJECT, segment.encode())

    report = bench.store.prune(PROJECT, set(), 3600)

    assert (report.releases, report.segments) == ((), 0)
    assert bench.store.has(PROJECT, old)
    assert bench.store.commit(PROJECT, scanned.manifest)


def test_asking_what_is_missing_keeps_what_is_there(bench: Workbench) -> None:
    """Between a client's question and its commit no prune takes what it was told is there."""
    import os
    import time

    old = bench.release("old", {"a": noise(1000)})
    for path in (bench.root / "store").rglob("*.seg"):
        os.utime(path, (time.time() - 7200,) * 2)
    scanned = scan(bench.write("again", {"b": noise(1000)}))
    assert bench.store.missing(PROJECT, scanned.manifest) == []

    bench.store.prune(PROJECT, set(), 3600)
    manifests = bench.root / "store" / PROJECT / "releases"
    for path in manifests.iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    bench.store.prune(PROJECT, set(), 3600)

    assert not bench.store.has(PROJECT, old)
    assert bench.store.commit(PROJECT, scanned.manifest)


def test_large_files_in_parts_survive_rewriting_and_are_dropped_whole(bench: Workbench) -> None:
    large = noise(SEGMENT_BYTES + 1000)
    old = bench.release("old", {"large": large, **{f"x{n}": noise(5000, n + 9) for n in range(9)}})
    new = bench.release("new", {"large": large})

    assert bench.store.prune(PROJECT, {new}, AT_ONCE).rewritten == 1
    assert readable(bench, new)
    fresh = Store(bench.root / "store", bench.keyring)
    assert fresh.missing(PROJECT, fresh.manifest(PROJECT, new)) == []
    digest = next(iter(fresh.manifest(PROJECT, new).sizes))
    assert b"".join(fresh.blob(PROJECT, digest)) == large

    assert old not in fresh.releases(PROJECT)
    fresh.prune(PROJECT, set(), AT_ONCE)
    assert fresh.usage(PROJECT).bytes == 0
    assert [p for p in everything(bench.root / "store") if p.count("/") > 1] == []


def test_pruning_twice_changes_nothing(bench: Workbench) -> None:
    bench.release("old", {"a": b"1", "b": noise(100)})
    new = bench.release("new", {"a": b"1"})
    bench.store.prune(PROJECT, {new}, AT_ONCE)
    before = everything(bench.root / "store")
    report = bench.store.prune(PROJECT, {new}, AT_ONCE)
    assert (report.releases, report.segments, report.freed_bytes) == ((), 0, 0)
    assert everything(bench.root / "store") == before


def test_any_history_keeps_what_is_kept_and_nothing_grows(bench: Workbench) -> None:
    chance = random.Random(7)
    pool = [noise(chance.randrange(1, 30_000), n) for n in range(40)]
    kept: list[str] = []
    for step in range(25):
        files = {f"f{n}": chance.choice(pool) for n in range(chance.randrange(1, 12))}
        release = bench.release(f"r{step}", files)
        kept = [*[r for r in kept if r != release], release][-3:]
        bench.store.prune(PROJECT, set(kept), AT_ONCE)
        assert set(bench.store.releases(PROJECT)) == set(kept)
    for release in kept:
        assert readable(bench, release)
    needed = {d: s for r in kept for d, s in bench.store.manifest(PROJECT, r).sizes.items()}
    assert bench.store.usage(PROJECT).bytes < 3 * sum(needed.values()) + 50_000


def test_two_projects_are_pruned_apart(bench: Workbench) -> None:
    scanned = scan(bench.write("one", {"a": noise(100)}))
    bench.upload(scanned)
    other = bench.upload(scanned, "other")
    bench.store.prune(PROJECT, set(), AT_ONCE)
    assert bench.store.has("other", other)
    bench.store.remove_project("other")
    assert not bench.store.has("other", other)
