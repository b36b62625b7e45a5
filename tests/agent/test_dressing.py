"""Dressing: a root that takes sidecars from the one before is as one that was dressed anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from turnout.agent import dressing
from turnout.agent.dressing import Before
from turnout.packages import variants
from turnout.packages.walking import list_files

TEXT = b"Turnout moves traffic from one release to the next without a dropped request. " * 40
OLD = {
    "index.html": TEXT,
    "about/page.html": TEXT + b"about",
    "about/gone.html": TEXT + b"gone",
    "logo.png": b"not compressed",
    "tiny.css": b"a{}",
}
NEW = {**OLD, "index.html": TEXT + b"new", "new/place.html": TEXT}
NEW.pop("about/gone.html")


def lay(root: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write *files*; return their digests in the order of a manifest."""
    for path, content in sorted(files.items()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}


def content(root: Path) -> dict[str, bytes]:
    return {p: (root / p).read_bytes() for p in list_files(root)}


def dress_twice(place: Path, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Path:
    """Dress *old*, then *new* from it; return the new root, seen to be as if dressed anew."""
    known = lay(place / "old", old)
    dressing.dress(place / "old", known, None)
    digests = lay(place / "new", new)
    dressing.dress(place / "new", digests, Before(place / "old", known))
    variants.dress(place / "anew", None, lay(place / "anew", new))
    assert content(place / "new") == content(place / "anew")
    return place / "new"


def same(place: Path, path: str) -> bool:
    return (place / "old" / path).stat().st_ino == (place / "new" / path).stat().st_ino


def test_what_did_not_change_is_linked_and_the_rest_made(tmp_path: Path) -> None:
    dress_twice(tmp_path, OLD, NEW)
    endings = (".turnout-etag", ".br", ".br.turnout-made", ".gz", ".gz.turnout-made")
    assert all(same(tmp_path, f"about/page.html{end}") for end in endings)
    assert same(tmp_path, "logo.png.turnout-etag")
    assert not any(same(tmp_path, f"index.html{end}") for end in endings)


@pytest.mark.parametrize("end", [".br", ".gz", ".br.turnout-made", ".turnout-etag"])
@pytest.mark.parametrize("owner", ["old", "new", "both"])
def test_a_projects_own_file_beside_is_never_taken_for_a_sidecar(
    tmp_path: Path, end: str, owner: str
) -> None:
    own = {f"about/page.html{end}": b"mine"}
    old = {**OLD, **own} if owner != "new" else OLD
    new = {**NEW, **own} if owner != "old" else NEW
    root = dress_twice(tmp_path, old, new)
    if owner != "old" and end in (".br", ".gz"):
        assert (root / f"about/page.html{end}").read_bytes() == b"mine"


@pytest.mark.parametrize("lost", ["index.css.turnout-etag", "index.css.br", "whole", "directory"])
def test_what_the_root_before_lost_is_made_anew(tmp_path: Path, lost: str) -> None:
    files = {"index.css": TEXT, "deep/x.css": TEXT}
    known = lay(tmp_path / "old", files)
    dressing.dress(tmp_path / "old", known, None)
    before = Before(tmp_path / "old", known)
    if lost == "whole":
        (tmp_path / "old").rename(tmp_path / "aside")
    elif lost == "directory":
        (tmp_path / "old/deep").rename(tmp_path / "aside")
    else:
        (tmp_path / "old" / lost).unlink()
    digests = lay(tmp_path / "new", files)
    dressing.dress(tmp_path / "new", digests, before)
    variants.dress(tmp_path / "anew", None, lay(tmp_path / "anew", files))
    assert content(tmp_path / "new") == content(tmp_path / "anew")


def test_a_tag_that_a_power_cut_left_empty_is_not_taken_over(tmp_path: Path) -> None:
    known = lay(tmp_path / "old", OLD)
    dressing.dress(tmp_path / "old", known, None)
    (tmp_path / "old/logo.png.turnout-etag").write_bytes(b"")
    digests = lay(tmp_path / "new", NEW)
    dressing.dress(tmp_path / "new", digests, Before(tmp_path / "old", known))
    tag = (tmp_path / "new/logo.png.turnout-etag").read_text()
    assert tag == f'"{digests["logo.png"][:32]}"'


def test_a_root_removed_while_it_is_linked_from_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = lay(tmp_path / "old", {"a.css": TEXT, "b.css": TEXT})
    dressing.dress(tmp_path / "old", known, None)
    link = dressing._link

    def remove(source: int, sink: int, name: str) -> None:
        if name.startswith("b.css.") and (tmp_path / "old").exists():
            (tmp_path / "old").rename(tmp_path / "aside")
            for end in (".br", ".br.turnout-made"):
                (tmp_path / f"aside/b.css{end}").unlink()
        link(source, sink, name)

    monkeypatch.setattr(dressing, "_link", remove)
    digests = lay(tmp_path / "new", {"a.css": TEXT, "b.css": TEXT})
    dressing.dress(tmp_path / "new", digests, Before(tmp_path / "old", known))
    assert (tmp_path / "aside").exists()
    assert (tmp_path / "new/b.css.br").exists()


def test_without_the_manifest_before_content_decides(tmp_path: Path) -> None:
    dressing.dress(tmp_path / "old", lay(tmp_path / "old", OLD), None)
    digests = lay(tmp_path / "new", NEW)
    dressing.dress(tmp_path / "new", digests, Before(tmp_path / "old", None))
    assert same(tmp_path, "about/page.html.br")
    assert not same(tmp_path, "index.html.br")
