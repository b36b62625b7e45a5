"""The scan cache: digests remembered from one scan of a directory to the next."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from turnout.packages.disk import explained, write_whole
from turnout.packages.hashing import Mark

_VERSION = 1
_SETTLED_NS = 2_000_000_000
"""Two changes within the clock tick of a file system leave the same times; files changed less
than this before the scan are read again, as git does with its index."""


class ScanCache:
    """What an earlier scan found, by path; only an equal mark is believed."""

    def __init__(self, known: dict[str, tuple[Mark, str]]) -> None:
        self._known = known

    @classmethod
    def load(cls, path: Path | None) -> ScanCache:
        """Return the cache in *path*; an empty one if there is none that can be read."""
        if path is None:
            return cls({})
        try:
            document = json.loads(path.read_bytes())
            if document["version"] != _VERSION:
                return cls({})
            marks = map(Mark._make, document["marks"])
            pairs = zip(marks, document["digests"], strict=True)
            return cls(dict(zip(document["paths"], pairs, strict=True)))
        except (OSError, ValueError, KeyError, TypeError):
            return cls({})

    @staticmethod
    def save(path: Path, marks: Mapping[str, Mark], digests: Mapping[str, str]) -> None:
        """Write what is settled among *marks* for the next scan."""
        limit = time.time_ns() - _SETTLED_NS
        kept = [name for name, mark in marks.items() if max(mark.mtime_ns, mark.ctime_ns) < limit]
        document = {
            "version": _VERSION,
            "paths": kept,
            "marks": [marks[name] for name in kept],
            "digests": [digests[name] for name in kept],
        }
        with explained("The scan cache cannot be written", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, [json.dumps(document, separators=(",", ":")).encode()])

    def digest(self, path: str, mark: Mark) -> str:
        """Return the digest of an unchanged file, or nothing."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == mark else ""
