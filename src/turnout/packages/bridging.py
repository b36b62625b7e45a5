"""The asset bridge: hashed assets of earlier releases stay reachable, so open tabs never break."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from turnout.packages.assets import ENCODINGS, ETAG_SUFFIX, RESERVED, is_bridged
from turnout.packages.disk import explained, link_over
from turnout.packages.sidecars import dress_file
from turnout.packages.walking import list_files

_SIDECARS = (
    ETAG_SUFFIX,
    # Before the variants: by them the origin knows which of those are ours.
    *(suffix + end for suffix in ENCODINGS.values() for end in RESERVED),
    *ENCODINGS.values(),
)


@dataclass(frozen=True)
class Bridged:
    """What :func:`bridge` did: assets that are there now, files added, files dropped."""

    assets: int
    added: int
    dropped: int


def bridge(destination: Path, sources: Sequence[Path]) -> Bridged:
    """Make *destination* hold the hashed assets of *sources* and nothing else.

    It may be served meanwhile: every file appears and vanishes at one moment, new ones before
    old ones go, and a file that two roots have comes from the newer.

    Args:
        destination: Made if missing.
        sources: Dressed static roots, newest first.  A release's bare tree will do too; what
            it lacks is made beside the bridged file.

    Raises:
        Exhausted: The disk is full.
    """
    with explained("The assets of earlier releases cannot be kept", destination):
        destination.mkdir(mode=0o755, parents=True, exist_ok=True)
        assets = _choose(sources)
        wanted = {name for path in assets for name in (path, *(path + end for end in _SIDECARS))}
        before = set(list_files(destination))
        if blocking := _in_the_way(before - wanted, assets):
            _remove(destination, blocking)
            _remove_empty_directories(destination)
        for path, root in assets.items():
            _bring(root / path, destination / path)
        after = set(list_files(destination))
        _remove(destination, after - wanted)
        _remove_empty_directories(destination)
    return Bridged(len(assets), len((after & wanted) - before), len(before - wanted))


def _choose(sources: Sequence[Path]) -> dict[str, Path]:
    """Return path to source of every asset; what a newer source has as a directory wins."""
    chosen: dict[str, Path] = {}
    directories: set[str] = set()
    for root in sources:
        for path in sorted(list_files(root)):
            if path.endswith(RESERVED) or not is_bridged(path):
                continue
            parents = [str(parent) for parent in PurePosixPath(path).parents][:-1]
            if path in chosen or path in directories or not chosen.keys().isdisjoint(parents):
                continue
            chosen[path] = root
            directories.update(parents)
    return chosen


def _in_the_way(files: set[str], assets: Mapping[str, Path]) -> set[str]:
    """Return which of *files* stand where a directory must be, or in one that must be a file."""
    parents = {str(parent) for path in assets for parent in PurePosixPath(path).parents}
    inside = {f for f in files if any(str(p) in assets for p in PurePosixPath(f).parents)}
    return (files & parents) | inside


def _bring(source: Path, target: Path) -> None:
    """Link one asset; its sidecars first, so that whoever finds it finds them too."""
    tag = Path(f"{target}{ETAG_SUFFIX}")
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(source.lstat(), target.lstat()) and tag.exists():
            return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for ending in _SIDECARS:
        sidecar = Path(f"{target}{ending}")
        try:
            link_over(Path(f"{source}{ending}"), sidecar)
        except FileNotFoundError:
            sidecar.unlink(missing_ok=True)
    if not tag.exists():
        # The source is a release's tree, which has no sidecars of ours.
        dress_file(source, None, None, beside=target)
        for ending in ENCODINGS.values():
            if (own := Path(f"{source}{ending}")).is_file():
                dress_file(own, None, None, beside=Path(f"{target}{ending}"))
    link_over(source, target)


def _remove(top: Path, paths: Iterable[str]) -> None:
    for path in sorted(paths, key=len):
        (top / path).unlink(missing_ok=True)


def _remove_empty_directories(top: Path) -> None:
    for directory, _, _ in os.walk(top, topdown=False):
        if Path(directory) != top:
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
