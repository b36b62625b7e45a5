"""Healing: what a disk damaged in the store is noticed, dropped, and comes again by an upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packages.workbench import PROJECT, Workbench, noise
from turnout.base.errors import Failed, NotFound, TurnoutError
from turnout.packages.building import build
from turnout.packages.scan import scan
from turnout.packages.store import Store

FILES = {"index.html": b"<h1>hello</h1>" * 50, "app.js": noise(40_000)}
AT_ONCE = -60.0


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def segments(bench: Workbench) -> list[Path]:
    return sorted((bench.root / "store" / PROJECT / "segments").glob("*.seg"))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def gone(path: Path) -> None:
    path.unlink()


DAMAGE = pytest.mark.parametrize("damage", [flipped, cut_short, gone])


def whole(bench: Workbench, release: str) -> bool:
    bench.receive(bench.seal(release))
    return bench.host.verify(release) == []


@DAMAGE
def test_the_same_files_again_heal_a_damaged_release(
    bench: Workbench, damage: Callable[[Path], None]
) -> None:
    release = bench.release("site", FILES)
    manifest = bench.store.manifest(PROJECT, release)
    for path in segments(bench):
        damage(path)
    assert bench.store.lacks(PROJECT, manifest) == 0  # nobody has looked yet

    with pytest.raises(Failed, match="no longer holds a file") as caught:
        bench.seal(release)

    assert caught.value.facts["final"]
    assert "Deploy the same files again" in caught.value.next_step
    assert bench.store.has(PROJECT, release)
    assert bench.store.lacks(PROJECT, manifest) == len(FILES)
    assert set(bench.store.missing(PROJECT, manifest)) == set(manifest.sizes)

    assert bench.upload(scan(bench.root / "site")) == release
    assert bench.store.lacks(PROJECT, manifest) == 0
    assert whole(bench, release)


def test_only_what_was_damaged_comes_again(bench: Workbench) -> None:
    first = bench.release("first", FILES)
    (held,) = segments(bench)
    both = bench.release("both", {**FILES, "more.js": noise(30_000, 1)})
    (other,) = [path for path in segments(bench) if path != held]
    flipped(other)
    with pytest.raises(Failed, match="no longer holds"):
        bench.seal(both)

    scanned = scan(bench.root / "both")
    missing = bench.store.missing(PROJECT, scanned.manifest)
    assert [scanned.manifest.sizes[digest] for digest in missing] == [30_000]
    assert whole(bench, first)
    bench.upload(scanned)
    assert whole(bench, both)


def test_content_that_another_segment_holds_is_taken_from_there(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    (first,) = segments(bench)
    # The same files come packed in other company, as when two clients upload at one time.
    scanned = scan(bench.write("site2", {**FILES, "more.js": b"more" * 500}))
    for segment in build(scanned, list(scanned.manifest.sizes)):
        bench.store.add_segment(PROJECT, segment.encode())
    (second,) = [path for path in segments(bench) if path != first]
    # The one that would be read first is the newest.
    flipped(second)

    assert whole(bench, release)
    assert not second.exists()
    assert first.exists()


def test_all_damage_is_noticed_at_once(bench: Workbench) -> None:
    a = bench.release("a", {"a": noise(20_000, 1)})
    bench.release("b", {"b": noise(20_000, 2)})
    both = bench.release("both", {"a": noise(20_000, 1), "b": noise(20_000, 2)})
    for path in segments(bench):
        flipped(path)
    with pytest.raises(Failed):
        bench.seal(both)
    assert segments(bench) == []
    assert bench.store.lacks(PROJECT, bench.store.manifest(PROJECT, a)) == 1


def test_a_part_of_a_large_file_comes_again(bench: Workbench) -> None:
    files = {"large": noise(20 << 20, 3)}
    release = bench.release("site", files)
    held = segments(bench)
    assert len(held) > 2
    flipped(held[1])
    with pytest.raises(Failed):
        bench.seal(release)
    manifest = bench.store.manifest(PROJECT, release)
    parts = bench.store.held_parts(PROJECT, manifest)
    assert sum(len(found) for found in parts.values()) == len(held) - 1

    bench.upload(scan(bench.root / "site"))
    assert whole(bench, release)


def test_a_damaged_list_of_files_is_written_again(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    (listed,) = (bench.root / "store" / PROJECT / "releases").iterdir()
    flipped(listed)
    with pytest.raises(Failed, match="list of the files"):
        bench.seal(release)
    assert not bench.store.has(PROJECT, release)
    with pytest.raises(NotFound):
        bench.seal(release)

    assert bench.upload(scan(bench.root / "site")) == release
    assert whole(bench, release)


def test_a_read_that_fails_drops_it_too(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    manifest = bench.store.manifest(PROJECT, release)
    flipped(segments(bench)[0])
    with pytest.raises(TurnoutError):
        list(bench.store.blob(PROJECT, next(iter(manifest.sizes))))
    assert bench.store.lacks(PROJECT, manifest) == len(FILES)


def test_a_prune_outlives_damage(bench: Workbench) -> None:
    kept = noise(10_000)
    bench.release("old", {"kept": kept, **{f"x{n}": noise(10_000, n + 1) for n in range(9)}})
    new = bench.release("new", {"kept": kept})
    (sparse,) = segments(bench)
    flipped(sparse)
    report = bench.store.prune(PROJECT, {new}, AT_ONCE)
    assert len(report.releases) == 1
    assert bench.store.lacks(PROJECT, bench.store.manifest(PROJECT, new)) == 1


def test_a_server_that_starts_again_knows_what_is_lacking(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    manifest = bench.store.manifest(PROJECT, release)
    flipped(segments(bench)[0])
    with pytest.raises(Failed):
        bench.seal(release)
    again = Store(bench.root / "store", bench.keyring)
    assert again.lacks(PROJECT, manifest) == len(FILES)
