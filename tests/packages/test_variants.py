"""Variants and the bridge: sidecars are right, reused, and never in the way of a project's own."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import brotli
import pytest

from tests.packages.workbench import Workbench, contents, noise
from turnout.packages import copying
from turnout.packages.assets import etag
from turnout.packages.variants import bridge, dress

TEXT = b"export const answer = 42;\n" * 200
HASHED = "assets/index-B3xK9a_2.js"
OTHER = "assets/other-C4yL0b_3.js"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def root_of(bench: Workbench, name: str, files: dict[str, bytes]) -> Path:
    tree = bench.write(f"tree-{name}", files)
    root = bench.root / f"root-{name}"
    assert copying.link_tree(tree, root)
    return root


def tag(content: bytes, encoding: str = "") -> bytes:
    return etag(hashlib.sha256(content).hexdigest(), encoding).encode()


def test_every_file_gets_an_etag_and_text_gets_variants(bench: Workbench) -> None:
    root = root_of(bench, "a", {"app.js": TEXT, "photo.png": noise(5000), "small.js": b"1"})
    dressed = dress(root)
    assert (dressed.files, dressed.written) == (3, 2)
    assert (root / "app.js.turnout-etag").read_bytes() == tag(TEXT)
    assert (root / "app.js.br.turnout-made").read_bytes() == tag(TEXT, "br")
    assert (root / "app.js.gz.turnout-made").read_bytes() == tag(TEXT, "gzip")
    assert brotli.decompress((root / "app.js.br").read_bytes()) == TEXT
    assert gzip.decompress((root / "app.js.gz").read_bytes()) == TEXT
    assert (root / "photo.png.turnout-etag").exists()
    assert not (root / "photo.png.br").exists()
    assert not (root / "small.js.br").exists()
    assert (root / "app.js.br").stat().st_mode & 0o777 == 0o644


def test_noise_in_text_gets_no_variant(bench: Workbench) -> None:
    root = root_of(bench, "a", {"data.js": noise(5000)})
    assert dress(root).written == 0


def test_dressing_is_reproducible_and_can_be_repeated(bench: Workbench) -> None:
    files = {"app.js": TEXT, "deep/style.css": TEXT * 2}
    first, second = root_of(bench, "a", files), root_of(bench, "b", files)
    dress(first)
    dress(second)
    dressed = contents(first)
    assert contents(second) == dressed
    again = dress(first)
    assert (again.files, again.written) == (2, 0)
    assert contents(first) == dressed


def test_the_release_tree_itself_is_not_touched(bench: Workbench) -> None:
    root = root_of(bench, "a", {"app.js": TEXT})
    before = contents(bench.root / "tree-a")
    dress(root)
    assert contents(bench.root / "tree-a") == before


def test_a_projects_own_variants_are_left_alone(bench: Workbench) -> None:
    root = root_of(bench, "a", {"app.js": TEXT, "app.js.br": b"mine", "page.html.gz": b"alone"})
    dress(root)
    assert (root / "app.js.br").read_bytes() == b"mine"
    assert (root / "app.js.br.turnout-etag").read_bytes() == tag(b"mine")
    assert (root / "app.js.gz").exists()
    assert (root / "page.html.gz.turnout-etag").read_bytes() == tag(b"alone")


def test_variants_of_equal_content_come_from_the_root_before(bench: Workbench) -> None:
    first = root_of(bench, "a", {"app.js": TEXT, "page.html": TEXT, "own.js": TEXT * 3})
    dress(first)
    second = root_of(
        bench,
        "b",
        {"app.js": TEXT, "page.html": TEXT + b"!", "own.js": TEXT * 3, "own.js.br": b"x"},
    )
    dressed = dress(second, first)
    assert (dressed.written, dressed.reused) == (2, 3)
    assert (second / "app.js.br").stat().st_ino == (first / "app.js.br").stat().st_ino
    assert brotli.decompress((second / "page.html.br").read_bytes()) == TEXT + b"!"
    assert (second / "own.js.br").read_bytes() == b"x"


def test_digests_that_are_known_are_believed(bench: Workbench) -> None:
    root = root_of(bench, "a", {"x.png": b"1"})
    dress(root, digests={"x.png": "ab" * 32})
    assert (root / "x.png.turnout-etag").read_bytes() == b'"' + b"ab" * 16 + b'"'


def test_links_are_passed_over(bench: Workbench) -> None:
    tree = bench.write("tree-l", {"app.js": TEXT})
    (tree / "link.js").symlink_to("app.js")
    copying.link_tree(tree, bench.root / "root")
    assert dress(bench.root / "root").files == 1
    assert (bench.root / "root/link.js").is_symlink()


@pytest.mark.parametrize("dressed", [True, False])
def test_the_bridge_holds_hashed_assets_with_their_sidecars(
    bench: Workbench, dressed: bool
) -> None:
    old = root_of(bench, "old", {HASHED: TEXT, "index.html": TEXT, "plain.js": TEXT})
    new = root_of(bench, "new", {OTHER: TEXT * 2, "index.html": TEXT})
    if dressed:
        dress(old)
        dress(new)
    place = bench.root / "bridge"

    bridged = bridge(place, [new, old])

    assert bridged.assets == 2
    for path, content in ((HASHED, TEXT), (OTHER, TEXT * 2)):
        assert (place / path).read_bytes() == content
        assert (place / f"{path}.turnout-etag").read_bytes() == tag(content)
        assert brotli.decompress((place / f"{path}.br").read_bytes()) == content
        assert (place / f"{path}.gz.turnout-made").read_bytes() == tag(content, "gzip")
    assert not (place / "index.html").exists()
    assert not (place / "plain.js").exists()
    again = bridge(place, [new, old])
    assert (again.added, again.dropped) == (0, 0)


def test_the_bridge_drops_what_no_release_has_any_more(bench: Workbench) -> None:
    old = root_of(bench, "old", {HASHED: TEXT})
    new = root_of(bench, "new", {"js/" + OTHER: TEXT})
    place = bench.root / "bridge"
    bridge(place, [new, old])
    bridge(place, [new])
    assert all(path.startswith("js/") for path in contents(place))
    assert not (place / "assets").exists()
    bridge(place, [])
    assert list(place.iterdir()) == []


def test_the_newer_release_wins_and_its_variants_with_it(bench: Workbench) -> None:
    old = root_of(bench, "old", {HASHED: TEXT})
    new = root_of(bench, "new", {HASHED: TEXT * 2})
    place = bench.root / "bridge"
    bridge(place, [old])
    bridge(place, [new, old])
    assert (place / HASHED).read_bytes() == TEXT * 2
    assert brotli.decompress((place / f"{HASHED}.br").read_bytes()) == TEXT * 2
    assert (place / f"{HASHED}.turnout-etag").read_bytes() == tag(TEXT * 2)


def test_a_file_can_become_a_directory_and_back(bench: Workbench) -> None:
    old = root_of(bench, "old", {HASHED: TEXT})
    new = root_of(bench, "new", {f"{HASHED}/{OTHER}": TEXT})
    place = bench.root / "bridge"
    for sources in ([old], [new], [new, old], [old, new], []):
        bridge(place, sources)
        present = {p for p in contents(place) if p.endswith(".js")}
        first = [HASHED, f"{HASHED}/{OTHER}"][sources[0] == new] if sources else None
        assert present == ({first} if first else set())


def test_copies_are_private_and_links_are_not(bench: Workbench) -> None:
    tree = bench.write("t", {"a/b/c": TEXT, "run": b"x", "big": noise(200_000)})
    (tree / "run").chmod(0o755)
    (tree / "l").symlink_to("a/b")
    for make, private in ((copying.copy_tree, True), (copying.link_tree, False)):
        place = bench.root / make.__name__
        assert make(tree, place)
        assert not make(tree, place)
        assert contents(place) == contents(tree)
        assert ((place / "big").stat().st_ino != (tree / "big").stat().st_ino) is private
