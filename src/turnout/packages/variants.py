"""Variants: every file of a static root gets what serving it needs, before it is served."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.packages.assets import RESERVED
from turnout.packages.bridging import Bridged, bridge
from turnout.packages.disk import explained
from turnout.packages.pipeline import in_order
from turnout.packages.sidecars import dress_file, is_ours
from turnout.packages.walking import list_files

__all__ = ["Bridged", "Dressed", "bridge", "dress"]

_UNDER_WAY = 8


@dataclass(frozen=True)
class Dressed:
    """What :func:`dress` did.

    Attributes:
        files: Files of the release.
        written: Compressed variants that were made.
        reused: Those that the previous root had.
    """

    files: int
    written: int
    reused: int


def dress(
    root: Path, previous_root: Path | None = None, digests: Mapping[str, str] | None = None
) -> Dressed:
    """Write the variants of every regular file in *root*.

    Args:
        root: A static root that is not served yet.  One that was dressed half before a crash
            is dressed to the end.
        previous_root: One that was dressed before; what is equal there is linked from it.
        digests: Path to SHA-256 in hexadecimal, where known; other files are hashed.

    Raises:
        Exhausted: The disk is full.
    """
    known = digests or {}
    with explained("A static root cannot be prepared", root):
        files = [path for path in list_files(root) if not path.endswith(RESERVED)]
        own = set(files)
        names = [path for path in files if not is_ours(root, path, own)]
        results = list(
            in_order(
                lambda path: dress_file(
                    root / path, previous_root and previous_root / path, known.get(path)
                ),
                names,
                os.cpu_count() or 1,
                _UNDER_WAY,
            )
        )
    return Dressed(len(names), sum(made for made, _ in results), sum(old for _, old in results))
