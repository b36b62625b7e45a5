"""Paths in a release: what a name may look like, and where a link may lead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import lt

from turnout.base.errors import InvalidInput
from turnout.packages.assets import RESERVED
from turnout.packages.limits import Limits

_BAD_CHARACTER = re.compile(r"[\x01-\x1f\x7f-\x9f\\\u2028\u2029]")
_BAD_COMPONENT = re.compile(r"(?:^|[/\0])\.{0,2}(?=[/\0]|$)")
_SURELY_GOOD = bytes({0, *range(0x20, 0x7F), *range(0x80, 0x100)} - {0x5C})
"""Bytes of UTF-8 that begin no bad character, but for C2 and E2, which sometimes do."""

_LINK_HOPS = 40
"""Links followed in one path; Linux gives up after as many."""


def check_paths(paths: Sequence[str], limits: Limits) -> None:
    """Check the paths of a release: relative, plain, in order, and free of conflicts.

    Args:
        paths: All paths, in the order of their UTF-8 bytes.

    Raises:
        InvalidInput: One of them is not allowed; the error names it.
    """
    joined = "\0".join(paths)
    raw = joined.encode()
    if not _plain(raw):
        # Only now, for the expressions take thirty times as long and seldom find anything.
        if found := _BAD_CHARACTER.search(joined):
            _refuse(_around(joined, found.start()), "it holds a control character or a backslash")
        if found := _BAD_COMPONENT.search(joined):
            _refuse(
                _around(joined, found.end()),
                "paths are relative, without '.', '..' or empty components",
            )
    encoded = raw.split(b"\0")
    longest = max(map(len, encoded), default=0)
    if longest > limits.path_bytes:
        long = next(path for path in encoded if len(path) > limits.path_bytes)
        _refuse(long.decode(), f"it is longer than {limits.path_bytes} bytes")
    if longest > limits.name_bytes:
        _check_names(paths, limits)
    for suffix in RESERVED:
        if suffix in joined:
            for path in paths:
                # Of directories too: one would stand where a file of ours is to be.
                if f"{suffix}/" in f"{path}/":
                    _refuse(path, f"names that end in {suffix} are kept for Turnout's own files")
    _check_order(encoded)
    _check_parents(paths)


def _plain(raw: bytes) -> bool:
    """Return whether both expressions surely find nothing in paths joined by NUL."""
    if raw.translate(None, _SURELY_GOOD) or b"\xc2" in raw or b"\xe2\x80" in raw:
        return False
    components = b"/" + raw.replace(b"\0", b"/") + b"/"
    return not any(bad in components for bad in (b"//", b"/./", b"/../"))


def check_links(links: Mapping[str, str], limits: Limits) -> None:
    """Check that every link stays inside the release, wherever other links lead it.

    Args:
        links: Path of a link to its target as it is written in it.

    Raises:
        InvalidInput: A target is absolute, leads outside, or goes round in circles.
    """
    for path, target in links.items():
        if not target or "\0" in target or _BAD_CHARACTER.search(target):
            _refuse(path, "its target is empty or holds a control character or a backslash")
        if len(target.encode()) > limits.path_bytes:
            _refuse(path, f"its target is longer than {limits.path_bytes} bytes")
        _follow(path, links)


def _follow(path: str, links: Mapping[str, str]) -> None:
    place: list[str] = []
    todo = path.split("/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                _refuse(path, f"the link leads outside the release, to {links[path]!r}")
            place.pop()
            continue
        place.append(part)
        target = links.get("/".join(place))
        if target is None:
            continue
        hops += 1
        if hops > _LINK_HOPS:
            _refuse(path, "the link goes round in circles")
        if target.startswith("/"):
            _refuse(path, f"the link is absolute, to {target!r}")
        place.pop()
        todo.extend(target.split("/")[::-1])


def _check_names(paths: Sequence[str], limits: Limits) -> None:
    for path in paths:
        if len(path) * 4 > limits.name_bytes:
            for name in path.split("/"):
                if len(name.encode()) > limits.name_bytes:
                    _refuse(path, f"a name in it is longer than {limits.name_bytes} bytes")


def _check_order(encoded: Sequence[bytes]) -> None:
    if all(map(lt, encoded, encoded[1:])):
        return
    before = b""
    for path in encoded:
        if path <= before:
            why = "it stands there twice" if path == before else "the paths are not in order"
            _refuse(path.decode(), why)
        before = path


def _check_parents(paths: Sequence[str]) -> None:
    """A path whose parent is a file or a link could be written through that link."""
    entries = set(paths)
    directories = {path.rpartition("/")[0] for path in paths}
    seen: set[str] = set()
    for path in sorted(directories):
        parent = path
        while parent and parent not in seen:
            if parent in entries:
                inside = next(below for below in paths if below.startswith(path + "/"))
                _refuse(inside, f"{parent!r} is a file or a link, so nothing can be inside it")
            seen.add(parent)
            parent = parent.rpartition("/")[0]


def _around(joined: str, position: int) -> str:
    start = joined.rfind("\0", 0, position) + 1
    end = joined.find("\0", position)
    return joined[start : end if end >= 0 else len(joined)]


def _refuse(path: str, why: str) -> None:
    raise InvalidInput(
        "A path cannot be part of a release",
        subject=ascii(path)[1:-1][:300],
        why=why,
        next_step="Rename it, remove it, or name it in .turnoutignore.",
    )
