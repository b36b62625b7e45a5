"""Manifests: one form only, and everything hostile is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packages.workbench import entry, link, unchecked
from turnout.base.errors import InvalidInput
from turnout.packages.assets import RESERVED
from turnout.packages.limits import Limits
from turnout.packages.manifest import Entry, manifest_of, parse

NAMES = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\"
    ),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in (".", "..") and not name.endswith(RESERVED))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def _without_conflicts(paths: set[str]) -> list[str]:
    return [path for path in paths if not any(other.startswith(path + "/") for other in paths)]


ENTRIES = (
    st.sets(PATHS, min_size=1, max_size=20)
    .map(_without_conflicts)
    .flatmap(
        lambda paths: st.tuples(
            *(
                st.builds(
                    entry, st.just(path), st.binary(max_size=8), st.sampled_from([0o644, 0o755])
                )
                for path in paths
            )
        )
    )
)


@given(ENTRIES)
def test_a_manifest_survives_its_canonical_form(entries: tuple[Entry, ...]) -> None:
    made = manifest_of(entries)
    parsed = parse(made.canonical)
    assert parsed == made
    assert parsed.canonical == made.canonical
    assert parsed.release == made.release


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_discovery_does_not_matter(entries: tuple[Entry, ...], random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert manifest_of(shuffled).canonical == manifest_of(entries).canonical


@given(ENTRIES, st.data())
def test_a_changed_manifest_is_refused_or_another_release(
    entries: tuple[Entry, ...], data: st.DataObject
) -> None:
    canonical = manifest_of(entries).canonical
    at = data.draw(st.integers(0, len(canonical) - 1))
    changed = bytearray(canonical)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        parsed = parse(bytes(changed))
    except InvalidInput:
        return
    # What is accepted is canonical: encoding it again gives these very bytes.
    assert manifest_of(parsed.entries).canonical == bytes(changed)


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(data)


@given(ENTRIES, st.integers(0, 400))
def test_a_truncated_or_longer_manifest_is_refused(entries: tuple[Entry, ...], cut: int) -> None:
    canonical = manifest_of(entries).canonical
    for hostile in (canonical[: min(cut, len(canonical) - 1)], canonical + b"x"):
        with pytest.raises(InvalidInput):
            parse(hostile)


HOSTILE_PATHS = [
    "/etc/passwd",
    "../up",
    "a/../../b",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    ".",
    "..",
    "",
    "new\nline",
    "bell\x07",
    "delete\x7f",
    "c1\x85",
    "separator\u2028",
    "back\\slash",
    "..\\up",
    "x" * 256,
    "d/" + "\u00e9" * 128,
    "/".join(["d" * 100] * 11),
    "index.html.turnout-etag",
    "index.html.br.turnout-made",
    "index.html.turnout-etag/file",
    "a/index.html.br.turnout-made/b/c",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_hostile_path_is_refused(path: str) -> None:
    for entries in ((entry(path),), (entry("!a"), entry(path))):
        with pytest.raises(InvalidInput):
            parse(unchecked(*entries).canonical)
        with pytest.raises(InvalidInput):
            manifest_of(entries)


def test_the_refused_path_is_named_and_cannot_harm_a_terminal() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(unchecked(entry("a"), entry("b\x1b[31mred")).canonical)
    assert "red" in caught.value.subject
    assert "\x1b" not in str(caught.value)


def test_nul_in_a_path_cannot_make_two() -> None:
    data = unchecked(entry("a\0b")).canonical
    with pytest.raises(InvalidInput):
        parse(data)


def test_a_path_that_is_not_utf8_is_refused() -> None:
    data = manifest_of([entry("abc")]).canonical.replace(b"abc", b"a\xffc")
    with pytest.raises(InvalidInput, match="not a manifest"):
        parse(data)


def test_unsorted_and_double_paths_are_refused() -> None:
    for paths in (["b", "a"], ["a", "a"], ["a\u00e9", "az"]):
        with pytest.raises(InvalidInput):
            parse(unchecked(*map(entry, paths)).canonical)


@pytest.mark.parametrize("inside", ["a/b", "a/b/c"])
def test_nothing_can_be_inside_a_file_or_a_link(inside: str) -> None:
    for outer in (entry("a"), link("a", "elsewhere")):
        with pytest.raises(InvalidInput, match="cannot be part"):
            parse(unchecked(outer, entry(inside)).canonical)
    # '-' sorts before '/', so the conflict is not between neighbours.
    with pytest.raises(InvalidInput):
        parse(unchecked(entry("a"), entry("a-b"), entry("a/b")).canonical)


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc/passwd"},
        {"a": "../x"},
        {"d/a": "../../x"},
        {"a": "d/../../x"},
        {"a": ""},
        {"a": "a"},
        {"a": "b", "b": "a"},
        {"a": "b\x07"},
        # Each stays inside when read alone; followed, the second leaves.
        {"d/up": "..", "out": "d/up/../x"},
        {"a": "b", "b": "/x"},
        {"deep/er/l": "../..", "z": "deep/er/l/.."},
    ],
)
def test_a_link_that_leaves_or_circles_is_refused(links: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        manifest_of(link(path, target) for path, target in links.items())


@pytest.mark.parametrize(
    "links",
    [
        {"a": "x"},
        {"d/a": "../x"},
        {"d/e/a": "../../x/y"},
        {"a": "b", "b": "c"},
        {"d/up": "..", "in": "d/up/x"},
        {"a": "./x/./y/"},
    ],
)
def test_a_link_that_stays_inside_is_kept(links: dict[str, str]) -> None:
    made = manifest_of(link(path, target) for path, target in links.items())
    assert {e.path: e.target for e in parse(made.canonical).entries} == links


def test_more_than_the_limits_is_refused() -> None:
    two = [entry("a", b"12345"), entry("b", b"123456")]
    for limits in (
        Limits(files=1),
        Limits(total_bytes=10),
        Limits(file_bytes=5),
        Limits(path_bytes=0),
        Limits(manifest_bytes=20),
    ):
        with pytest.raises(InvalidInput):
            parse(manifest_of(two).canonical, limits)
    limits = Limits(files=2, total_bytes=11, file_bytes=6)
    assert parse(manifest_of(two).canonical, limits) == manifest_of(two)


def test_one_digest_cannot_have_two_sizes() -> None:
    first = entry("a", b"1")
    with pytest.raises(InvalidInput, match="two sizes"):
        manifest_of([first, first._replace(path="b", size=2)])


def test_a_release_without_files_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 files"):
        manifest_of([])


def test_a_huge_count_is_refused_before_anything_is_allocated() -> None:
    head = b"turnout-manifest-1\n" + b"\xff" * 12
    with pytest.raises(InvalidInput, match="not a manifest"):
        parse(head)


def test_a_name_that_leaves_no_room_for_its_sidecars_is_refused() -> None:
    fits, too_long = "a" * 239, "a" * 240
    manifest_of([Entry(fits, "file", 0o644, 0, "0" * 64)])
    with pytest.raises(InvalidInput):
        manifest_of([Entry(too_long, "file", 0o644, 0, "0" * 64)])
