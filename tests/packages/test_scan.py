"""Scanning: the same directory gives the same release, and what moves or leaves is refused."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from tests.packages.workbench import Workbench
from turnout.base.errors import InvalidInput
from turnout.packages import hash_files, hash_helper, hashing, ignore, scan_cache
from turnout.packages.building import build
from turnout.packages.limits import Limits
from turnout.packages.scan import scan

FILES = {"b": b"1", "a/c": b"2", "a/b": b"3", "a-b": b"4"}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def test_times_order_and_umask_do_not_matter(bench: Workbench) -> None:
    first = scan(bench.write("one", FILES))
    before = os.umask(0o077)
    try:
        second_root = bench.write("two", dict(reversed(FILES.items())))
    finally:
        os.umask(before)
    for path in second_root.rglob("*"):
        os.utime(path, (1, 1))
    (second_root / "b").chmod(0o604)
    (second_root / "empty" / "directory").mkdir(parents=True)

    assert scan(second_root).manifest.canonical == first.manifest.canonical


def test_the_same_files_are_the_same_release_for_ever(bench: Workbench) -> None:
    """Golden: a change of the canonical form would make every release a new one."""
    root = bench.write("one", FILES)
    (root / "b").chmod(0o755)
    (root / "l").symlink_to("a/b")
    assert scan(root).manifest.release == (
        "36440210fecd9db4e84633c7cf82037251e7ba5454c0f9a49df320cbc8081c02"
    )


def test_the_paths_are_in_the_order_of_their_bytes(bench: Workbench) -> None:
    paths = [e.path for e in scan(bench.write("one", FILES)).manifest.entries]
    assert paths == ["a-b", "a/b", "a/c", "b"]


def test_a_pipe_a_socket_or_a_device_is_refused(bench: Workbench) -> None:
    root = bench.write("one", FILES)
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidInput, match="cannot be packaged") as caught:
        scan(root)
    assert caught.value.subject == "pipe"
    (root / "pipe").unlink()

    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/sock")
        os.close(here)
        with pytest.raises(InvalidInput, match="socket"):
            scan(root)


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "a/../../secret", "l"])
def test_a_link_that_leaves_is_refused(bench: Workbench, target: str) -> None:
    bench.write(".", {"secret": b"s"})
    root = bench.write("one", FILES)
    (root / "l").symlink_to(target)
    with pytest.raises(InvalidInput) as caught:
        scan(root)
    assert caught.value.subject == "l"


def test_a_linked_directory_is_a_link_and_not_walked(bench: Workbench) -> None:
    root = bench.write("one", FILES)
    (root / "l").symlink_to("a")
    assert {e.path: e.kind for e in scan(root).manifest.entries}["l"] == "link"


def test_a_name_that_is_not_utf8_is_refused(bench: Workbench) -> None:
    root = bench.write("one", FILES)
    (root / os.fsdecode(b"bad\xff")).write_bytes(b"")
    with pytest.raises(InvalidInput, match="UTF-8"):
        scan(root)


def test_a_file_that_changes_after_the_walk_is_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.write("one", FILES)
    original = hash_files.Hashing.finish

    def changing(hashing: hash_files.Hashing) -> dict[str, str]:
        (root / "b").write_bytes(b"longer than before")
        return original(hashing)

    monkeypatch.setattr(hash_files.Hashing, "finish", changing)
    with pytest.raises(InvalidInput, match="not at rest") as caught:
        scan(root)
    assert caught.value.subject == "b"


def test_a_file_that_changes_while_it_is_read_is_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same length, and the modification time set back: the change time tells."""
    root = bench.write("one", {"big": b"x" * (3 << 20)})
    facts = (root / "big").stat()
    original = os.read
    done = False

    def reading(handle: int, size: int) -> bytes:
        nonlocal done
        if not done:
            done = True
            with (root / "big").open("r+b") as file:
                file.write(b"y")
            os.utime(root / "big", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        return original(handle, size)

    monkeypatch.setattr(os, "read", reading)
    with pytest.raises(InvalidInput, match="while it was read"):
        scan(root)


def test_a_file_that_changes_between_scan_and_upload_is_refused(bench: Workbench) -> None:
    root = bench.write("one", FILES)
    scanned = scan(root)
    (root / "b").write_bytes(b"9")
    with pytest.raises(InvalidInput, match="not at rest"):
        list(build(scanned, scanned.paths))


def test_a_file_that_becomes_a_link_is_not_followed(bench: Workbench) -> None:
    bench.write(".", {"secret": b"1"})
    root = bench.write("one", FILES)
    scanned = scan(root)
    for name, target in (("b", "../secret"), ("a", "..")):
        moved = root / name
        moved.rename(bench.root / f"was-{name}")
        moved.symlink_to(target)
        with pytest.raises(InvalidInput, match="not at rest"):
            list(build(scanned, scanned.paths))
        moved.unlink()
        (bench.root / f"was-{name}").rename(moved)


def test_the_limits_hold_before_anything_is_read(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.write("one", FILES)
    with (root / "huge").open("wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(hash_files, "hash_run", lambda *_: pytest.fail("read"))
    with pytest.raises(InvalidInput) as caught:
        scan(root)
    assert caught.value.subject == "huge"
    (root / "huge").unlink()
    for limits in (Limits(files=3), Limits(total_bytes=3)):
        with pytest.raises(InvalidInput):
            scan(root, limits=limits)


def test_no_directory_and_an_empty_one_are_refused(bench: Workbench) -> None:
    for path in (bench.root / "absent", bench.write("f", FILES) / "b"):
        with pytest.raises(InvalidInput, match="no such directory"):
            scan(path)
    with pytest.raises(InvalidInput, match="0 files"):
        scan(bench.write("empty", {}))


def test_a_large_tree_is_shared_with_a_helper(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.write("one", {f"d{n % 7}/f{n}": b"%d" % n for n in range(100)})
    alone = scan(root)
    shares: list[int] = []
    begun = threading.Event()

    def patient(root: Path, run: Sequence[tuple[str, hashing.Mark]]) -> list[str]:
        assert begun.wait(30)
        return hashing.hash_run(root, run)

    class Counting(hash_helper.HashHelper):
        def hash(self, run: Sequence[tuple[str, hashing.Mark]]) -> list[str] | None:
            shares.append(len(run))
            begun.set()
            return super().hash(run) if dead is None else None

    dead = None
    monkeypatch.setattr(hash_files, "MANY", 50)
    monkeypatch.setattr(hash_files, "_RUN", 10)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(hash_files, "HashHelper", Counting)
    monkeypatch.setattr(hash_files, "hash_run", patient)
    assert scan(root).manifest == alone.manifest
    assert set(shares) == {10}
    dead = True
    assert scan(root).manifest == alone.manifest


def test_the_helper_reports_a_change_like_anybody(bench: Workbench) -> None:
    root = bench.write("one", FILES)
    mark = hashing.mark_of((root / "b").stat())
    with hash_helper.HashHelper(root) as helper:
        assert helper.hash([("b", mark)]) == [hashlib.sha256(b"1").hexdigest()]
        with pytest.raises(InvalidInput, match="not at rest") as caught:
            helper.hash([("b", mark._replace(size=9))])
        assert caught.value.subject == "b"
        helper._process.kill()  # type: ignore[union-attr]
        assert helper.hash([("b", mark)]) is None


def test_progress_is_told(bench: Workbench) -> None:
    told: list[tuple[int, int]] = []
    scan(bench.write("one", FILES), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)


def test_the_cache_spares_reading_and_notices_changes(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_cache, "_SETTLED_NS", -(10**9))
    root, cache = bench.write("one", FILES), bench.root / "cache.json"
    first = scan(root, cache=cache)
    assert first.hashed == 4
    second = scan(root, cache=cache)
    assert (second.hashed, second.manifest) == (0, first.manifest)
    time.sleep(0.02)  # beyond the tick of the file system's clock
    (root / "b").write_bytes(b"8")
    third = scan(root, cache=cache)
    assert third.hashed == 1
    assert third.manifest == scan(root).manifest != first.manifest


def test_a_file_that_changed_just_now_is_not_remembered(bench: Workbench) -> None:
    root, cache = bench.write("one", FILES), bench.root / "cache.json"
    scan(root, cache=cache)
    assert scan(root, cache=cache).hashed == 4


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version":1,"paths":["b"]}', b"\xff"])
def test_a_damaged_cache_is_only_slower(bench: Workbench, content: bytes) -> None:
    root, cache = bench.write("one", FILES), bench.root / "cache.json"
    cache.write_bytes(content)
    assert scan(root, cache=cache).manifest == scan(root).manifest


def test_the_default_ignores(bench: Workbench) -> None:
    kept = {"a": b"", "node_modules/x/index.js": b"", ".env.example": b"", ".well-known/x": b""}
    left = [
        ".git/config", ".env", ".env.local", "sub/.env", "debug.log", "sub/.DS_Store", "a~",
        "__pycache__/x.pyc", ".venv/bin/python", "turnout.toml", ".turnoutignore",
        ".turnout/cache",
    ]  # fmt: skip
    root = bench.write("one", {**kept, "sub/turnout.toml": b"", **dict.fromkeys(left, b"")})
    assert {e.path for e in scan(root).manifest.entries} == {*kept, "sub/turnout.toml"}


def test_turnoutignore_is_gitignore_and_wins_over_the_defaults(bench: Workbench) -> None:
    root = bench.write(
        "one",
        {
            ".turnoutignore": b"# comment\n*.map\n!keep.map\n/build/\n!.env\n",
            "a.map": b"",
            "keep.map": b"",
            "build/x": b"",
            "sub/build/x": b"",
            ".env": b"",
            "x.log": b"",
        },
    )
    found = {e.path for e in scan(root).manifest.entries}
    assert found == {"keep.map", "sub/build/x", ".env"}


def test_an_unreadable_turnoutignore_is_refused(bench: Workbench) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8") as caught:
        scan(bench.write("one", {".turnoutignore": b"*.map\n\xff", "a": b""}))
    assert "line 2 has the byte 0xff" in caught.value.why
    assert "UTF-8" in caught.value.next_step
    with pytest.raises(InvalidInput, match="Line 2"):
        scan(bench.write("two", {".turnoutignore": b"a\n!\n", "a": b""}))


NAMES = st.one_of(
    st.sampled_from([".git", ".env", ".env.x", ".env.example", ".#x", "x~", "~", "a.log", ".log"]),
    st.sampled_from(["turnout.toml", ".turnoutignore", ".turnout", "a.swp", ".a.swo", "env", "a"]),
    st.text("abc.~#", min_size=1, max_size=5).filter(lambda name: name.strip(".")),
)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_the_quick_defaults_are_those_that_are_documented(names: list[str]) -> None:
    spec = GitIgnoreSpec.from_lines(pattern for pattern, _ in ignore.DEFAULTS)
    paths = ["/".join(names[: depth + 1]) for depth in range(len(names))]
    quick = any(ignore.ignored_by_default(path, path.rpartition("/")[2]) for path in paths)
    assert quick == any(spec.match_file(path) for path in paths)
