"""kill -9 at any system call that changes the disk: what is left is usable and ends the same.

A child does the work and kills itself right before its n-th such call; n grows until the work
ends by itself.  After each kill a fresh process takes over: it sweeps, does the work again, and
the outcome must be that of an undisturbed run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packages.workbench import PROJECT, Workbench, everything, noise
from turnout.base.errors import TurnoutError
from turnout.packages.building import build
from turnout.packages.disk import TEMPORARY
from turnout.packages.scan import scan
from turnout.packages.segments import SEGMENT_BYTES

CALLS = (
    "open", "write", "pwrite", "fsync", "rename", "replace", "link", "unlink", "mkdir",
    "rmdir", "symlink", "fchmod", "utime",
)  # fmt: skip

FILES = {"a": b"text" * 500, "b": noise(3000), "d/c": b"", "d/e": noise(2000, 1)}
_FORK = multiprocessing.get_context("fork")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do *work* in a child that kills itself before its n-th change; return whether it did."""

    def child() -> None:
        left = number

        def wrap(original: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **options)

            return call

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        work()

    process = _FORK.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def at_every_point(work: Callable[[], object], check: Callable[[], None], step: int = 1) -> int:
    number = 1
    while killed_at(number, work):
        check()
        number += step
        assert number < 2000
    check()
    return number


def leftovers(directory: Path) -> list[str]:
    return [path for path in everything(directory) if TEMPORARY in path]


def test_an_upload_that_is_killed_can_be_taken_up(tmp_path: Path) -> None:
    Workbench(tmp_path)
    scanned = scan(Workbench(tmp_path).write("site", FILES))

    def upload() -> None:
        Workbench(tmp_path).upload(scanned)

    def check() -> None:
        after = Workbench(tmp_path)
        after.store.sweep()
        assert leftovers(tmp_path / "store") == []
        held = set(scanned.manifest.sizes) - set(after.store.missing(PROJECT, scanned.manifest))
        for digest in held:
            b"".join(after.store.blob(PROJECT, digest))
        if after.store.has(PROJECT, scanned.manifest.release):
            assert after.store.missing(PROJECT, scanned.manifest) == []
        after.store.prune(PROJECT, set(), -60)

    assert at_every_point(upload, check) > 10


def test_a_large_upload_that_is_killed_can_be_taken_up(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    large = noise(SEGMENT_BYTES + 1000)
    scanned = scan(bench.write("site", {"large": large}))
    segments = [segment.encode() for segment in build(scanned, scanned.paths)]

    def upload() -> None:
        inner = Workbench(tmp_path)
        for segment in segments:
            inner.store.add_segment(PROJECT, segment)

    def check() -> None:
        after = Workbench(tmp_path)
        after.store.sweep()
        for segment in build(
            scanned,
            after.store.missing(PROJECT, scanned.manifest),
            after.store.held_parts(PROJECT, scanned.manifest),
        ):
            after.store.add_segment(PROJECT, segment.encode())
        digest = next(iter(scanned.manifest.sizes))
        assert b"".join(after.store.blob(PROJECT, digest)) == large
        after.store.prune(PROJECT, set(), -60)

    assert at_every_point(upload, check, step=3) > 10


def test_a_prune_that_is_killed_takes_nothing_that_is_needed(tmp_path: Path) -> None:
    large = noise(SEGMENT_BYTES + 1000)
    Workbench(tmp_path)
    releases: list[str] = []

    def prepare() -> None:
        bench = Workbench(tmp_path)
        bench.store.prune(PROJECT, set(), -60)
        garbage = {f"x{n}": noise(4000, n + 9) for n in range(6)}
        old = bench.release("old", {**FILES, **garbage, "large": large})
        new = bench.release("new", {"a": FILES["a"], "large": large})
        releases[:] = [old, new]

    def prune() -> None:
        report = Workbench(tmp_path).store.prune(PROJECT, {releases[1]}, -60)
        assert report.rewritten

    def check() -> None:
        after = Workbench(tmp_path)
        after.store.sweep()
        assert leftovers(tmp_path / "store") == []
        manifest = after.store.manifest(PROJECT, releases[1])
        assert after.store.missing(PROJECT, manifest) == []
        for entry in manifest.entries:
            assert b"".join(after.store.blob(PROJECT, entry.digest)) == (
                large if entry.path == "large" else FILES["a"]
            )
        after.store.prune(PROJECT, {releases[1]}, -60)
        assert after.store.usage(PROJECT).blobs == 2
        prepare()

    prepare()
    assert at_every_point(prune, check, step=2) > 10


def test_sealing_that_is_killed_leaves_no_half_package(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    release = bench.release("site", FILES)
    bench.keyring.environment_key("shop/production")

    def seal() -> None:
        Workbench(tmp_path).seal(release)

    def check() -> None:
        after = Workbench(tmp_path)
        after.store.sweep()
        assert leftovers(tmp_path / "store") == []
        for number, path in enumerate((tmp_path / "store").rglob("*.pkg")):
            host = tmp_path / f"host-{number}"
            after.receive(path.read_bytes(), type(after.host)(host))
            path.unlink()

    assert at_every_point(seal, check) > 5


def test_a_host_that_is_killed_while_receiving_shows_nothing_or_all(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    first = bench.release("one", FILES)
    bench.deploy(first)
    source = bench.write("two", {**FILES, "a": b"new", "x/y": noise(500, 5)})
    (source / "l").symlink_to("x/y")
    second = bench.upload(scan(source))
    lacking = bench.host.missing(bench.store.manifest(PROJECT, second))
    package = bench.seal(second, lacking).path.read_bytes()

    def receive() -> None:
        Workbench(tmp_path).receive(package)

    def check() -> None:
        after = Workbench(tmp_path)
        for release in after.host.held():
            assert after.host.verify(release) == []
        after.host.sweep()
        assert leftovers(tmp_path / "host") == []
        after.receive(package)
        assert after.host.verify(second) == after.host.verify(first) == []
        after.host.remove(second)

    assert at_every_point(receive, check) > 20


def test_a_host_that_is_killed_while_removing_or_mending(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    release = bench.release("one", FILES)
    package = bench.seal(release).path.read_bytes()
    bench.receive(package)

    def remove() -> None:
        Workbench(tmp_path).host.remove(release)

    def mend() -> None:
        inner = Workbench(tmp_path)
        (inner.host.tree(release) / "a").write_bytes(b"damaged")
        inner.receive(package)

    def check() -> None:
        after = Workbench(tmp_path)
        after.host.sweep()
        assert leftovers(tmp_path / "host") == []
        after.receive(package)
        assert after.host.verify(release) == []

    assert at_every_point(remove, check) > 3
    assert at_every_point(mend, check) > 20


@pytest.mark.parametrize("call", ["write", "fsync", "link", "replace", "pwrite"])
def test_a_full_disk_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import errno

    from turnout.base.errors import Exhausted

    bench = Workbench(tmp_path)
    first = bench.release("one", FILES)
    bench.deploy(first)
    files = {**FILES, "a": b"new", "large": noise(SEGMENT_BYTES + 10)}
    scanned = scan(bench.write("two", files))
    second = bench.upload(scanned)
    package = bench.seal(second, bench.host.missing(scanned.manifest)).path.read_bytes()
    fresh = scan(bench.write("three", {"q": noise(100, 77)}))
    (segment,) = build(fresh, fresh.paths)
    original = getattr(os, call)

    def full(*arguments: object, **options: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = everything(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        works: list[Callable[[], object]] = [lambda: bench.receive(package)]
        if call in ("write", "fsync"):
            works += [
                lambda: bench.store.add_segment(PROJECT, segment.encode()),
                lambda: bench.seal(second),
            ]
        for work in works:
            try:
                work()
            except Exhausted as error:
                assert "room" in error.next_step
            except TurnoutError:
                raise
            else:
                # A link that fails becomes a copy; a path that uses no such call succeeds.
                assert call in ("link", "replace")
                return
            assert everything(tmp_path) == before
    assert original is getattr(os, call)
    bench.receive(package)
    assert bench.host.verify(second) == []
