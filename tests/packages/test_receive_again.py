"""Receiving a release that is held: nothing moves if it is whole, and damage is made whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packages.workbench import Workbench
from turnout.base.errors import Untrusted
from turnout.packages.scan import scan

FILES = {
    "index.html": b"<h1>hello</h1>" * 50,
    "empty": b"",
    "assets/app.js": b"console.log(1)\n" * 400,
    "assets/again.js": b"console.log(1)\n" * 400,
}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def release(bench: Workbench) -> str:
    source = bench.write("site", FILES)
    os.symlink("assets/app.js", source / "link")
    (source / "assets/again.js").chmod(0o755)
    release = bench.upload(scan(source))
    bench.deploy(release)
    return release


def facts(top: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, modification and change time of everything below *top*, and of *top*."""
    found = {}
    for path in (top, *top.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_a_whole_release_is_not_laid_again(bench: Workbench, release: str) -> None:
    before = {name: facts(bench.root / "host" / name) for name in ("releases", "incoming")}

    received = bench.deploy(release)

    after = {name: facts(bench.root / "host" / name) for name in ("releases", "incoming")}
    assert after == before
    assert (received.release, received.version) == (release, bench.version)
    assert (received.files, received.reused_files) == (len(FILES) + 1, len(FILES))


def test_its_version_counts_all_the_same(bench: Workbench, release: str) -> None:
    older = bench.seal(release, [])
    bench.deploy(release)

    with pytest.raises(Untrusted, match="older"):
        bench.receive(older)


def test_a_forged_package_without_files_is_refused(bench: Workbench, release: str) -> None:
    package = bench.seal(release, []).path.read_bytes()
    kept = bench.version - 1
    for forged in (
        package[:-1] + bytes([package[-1] ^ 1]),
        package[:-33] + bytes([package[-33] ^ 1]) + package[-32:],
        package[:-1],
        package + b"x",
    ):
        with pytest.raises(Untrusted):
            bench.receive(forged)
    seen = next((bench.root / "host/seen").rglob("production"))
    assert f'"version": {kept}' in seen.read_text()


def replaced(tree: Path) -> None:
    (tree / "index.html").unlink()
    (tree / "index.html").write_bytes(b"damaged")


def changed_in_place(tree: Path) -> None:
    with (tree / "index.html").open("r+b") as file:
        file.write(b"<H1>")


def removed(tree: Path) -> None:
    # Its twin of equal content, with another mode, is still there: the package brings nothing.
    (tree / "assets/again.js").unlink()


def added(tree: Path) -> None:
    (tree / "assets/more.js").write_bytes(b"more")


def relinked(tree: Path) -> None:
    (tree / "link").unlink()
    os.symlink("index.html", tree / "link")


def linked(tree: Path) -> None:
    (tree / "empty").unlink()
    os.symlink("index.html", tree / "empty")


def made_a_directory(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").mkdir()


@pytest.mark.parametrize(
    "damage", [replaced, changed_in_place, removed, added, relinked, linked, made_a_directory]
)
def test_damage_is_made_whole(
    bench: Workbench, release: str, damage: Callable[[Path], None]
) -> None:
    damage(bench.host.tree(release))
    assert bench.host.verify(release) or damage is made_a_directory

    bench.deploy(release)

    assert bench.host.verify(release) == []
    assert os.readlink(bench.host.tree(release) / "link") == "assets/app.js"


@pytest.mark.parametrize("name", ["index", "manifest"])
@pytest.mark.parametrize("content", [b"", b"THIX" + bytes(12), None])
def test_a_lost_record_is_written_again(
    bench: Workbench, release: str, name: str, content: bytes | None
) -> None:
    path = bench.root / "host" / "releases" / release / name
    good = path.read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    manifest = bench.store.manifest("shop", release)

    bench.receive(bench.seal(release, None))
    bench.deploy(release)

    assert bench.host.manifest(release) == manifest
    assert len(path.read_bytes()) == len(good)
    assert bench.host.verify(release) == []
