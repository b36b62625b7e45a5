"""Dressing a new static root: what did not change since the root before it is taken from there.

A deployment changes a few files of many.  Both manifests say which, so the sidecars of the
others are linked without being read, and only the rest is hashed and compressed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from turnout.packages import variants
from turnout.packages.assets import ENCODINGS, ETAG_SUFFIX, RESERVED, VARIANT_SUFFIX, etag
from turnout.packages.disk import explained
from turnout.packages.pipeline import in_order
from turnout.packages.sidecars import dress_file
from turnout.packages.walking import Descent

_UNDER_WAY = 8
_SIDECARS = (
    ETAG_SUFFIX,
    *(suffix + end for suffix in ENCODINGS.values() for end in ("", *RESERVED)),
)


class Before(NamedTuple):
    """The root before.

    Attributes:
        root: Where it is, dressed and whole.
        digests: Path to SHA-256 in hexadecimal of its files; None if its manifest is gone.
    """

    root: Path
    digests: Mapping[str, str] | None


def dress(root: Path, digests: Mapping[str, str], before: Before | None) -> None:
    """Give every file of *root* its sidecars.

    Args:
        root: A static root that is not served yet, fresh from its release.
        digests: Path to SHA-256 in hexadecimal of all its files, in the order of the paths.
        before: Where sidecars of unchanged files are linked from; None if there is nothing.

    Raises:
        Exhausted: The disk is full.
    """
    if before is None or before.digests is None:
        variants.dress(root, before and before.root, digests)
        return
    with explained("A static root cannot be prepared", root):
        changed = _take_over(root, digests, before.root, before.digests)
        for _ in in_order(
            lambda path: dress_file(root / path, before.root / path, digests[path]),
            changed,
            os.cpu_count() or 1,
            _UNDER_WAY,
        ):
            pass


def _take_over(
    root: Path, digests: Mapping[str, str], before: Path, known: Mapping[str, str]
) -> list[str]:
    """Link the sidecars of what did not change; return the files that are still to be dressed."""
    files = [path for path in digests if not path.endswith(RESERVED)]
    left = []
    try:
        with Descent(before) as there, Descent(root) as here:
            held = os.fstat(there.enter(""))
            for path in files:
                if (
                    known.get(path) != digests[path]
                    # Beside such a file not all that looks like a sidecar is one of ours.
                    or any(path + end in digests or path + end in known for end in _SIDECARS)
                    or not _link_sidecars(there, here, path, digests[path])
                ):
                    left.append(path)
        # A root is renamed before it is removed: if it stands still, nothing was missing in it.
        stands = os.path.samestat(held, before.lstat())
    except OSError:
        stands = False
    return left if stands else files


def _link_sidecars(there: Descent, here: Descent, path: str, digest: str) -> bool:
    """Return whether all sidecars of a file were linked; what is half done does no harm."""
    try:
        source, name = there.locate(path)
        sink, _ = here.locate(path)
        tag = name + ETAG_SUFFIX
        # A power cut may have left it empty.
        if os.stat(tag, dir_fd=source, follow_symlinks=False).st_size != len(etag(digest)):
            return False
        _link(source, sink, tag)
        for suffix in ENCODINGS.values():
            variant = name + suffix
            try:
                # The ETag first: by it a variant is known as ours.
                _link(source, sink, variant + VARIANT_SUFFIX)
            except FileNotFoundError:
                continue  # compressing it was not worth it
            _link(source, sink, variant)
    except OSError:
        # Too many links, or another file system: it is made anew.
        return False
    return True


def _link(source: int, sink: int, name: str) -> None:
    os.link(name, name, src_dir_fd=source, dst_dir_fd=sink, follow_symlinks=False)
