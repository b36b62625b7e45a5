"""A project's room in the store: its directories, its keys and its index."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import Untrusted
from turnout.keys.mac import mac
from turnout.packages import sealed_files
from turnout.packages.disk import TEMPORARY
from turnout.packages.segments import Segment
from turnout.packages.store_index import Place, StoreIndex, segment_name


@dataclass(frozen=True)
class Usage:
    """What a project takes in the store.

    Attributes:
        releases: Committed releases.
        blobs: Different files.
        segments: Segments.
        bytes: On the disk, sealed.
    """

    releases: int
    blobs: int
    segments: int
    bytes: int


class Room:
    """Where the files of one project are.

    Args:
        directory: The project's directory; made if missing.
        key: Wraps the key of every file.
        name_key: Makes the names.

    Attributes:
        damaged: Segments that were found unreadable, until the store drops them.
    """

    def __init__(self, directory: Path, key: bytes, name_key: bytes) -> None:
        self.directory = directory
        self.key = key
        self._name_key = name_key
        self.segments = directory / "segments"
        self.wholes = directory / "wholes"
        self.manifests = directory / "releases"
        self.packages = directory / "packages"
        self.folders = (self.segments, self.wholes, self.manifests, self.packages)
        for folder in self.folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.index = StoreIndex()
        self.damaged: set[str] = set()
        self._load()

    def release_path(self, release: str) -> Path:
        """Return where the manifest of *release* is, or would be."""
        return self.manifests / self._name(b"release", release.encode())

    def package_prefix(self, release: str) -> str:
        """Return how the names of the packages of *release* begin."""
        return self._name(b"package", release.encode())[:32] + "-"

    def releases(self) -> list[str]:
        """Return the releases that are here, oldest first."""
        found = []
        for path in self.manifests.iterdir():
            if path.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(FileNotFoundError, Untrusted):
                at = path.stat().st_mtime_ns
                found.append((at, sealed_files.read_head(path, self.key).decode()))
        return [release for _, release in sorted(found)]

    def name_of(self, segment: Segment) -> str:
        """Return the file name of a segment."""
        return segment_name(self._name_key, segment.parts)

    def write(self, segment: Segment, name: str = "") -> str:
        """Store a segment, note it, and return its name, which is made if it is not given."""
        name = name or self.name_of(segment)
        sealed_files.write_segment(self.segments / name, self.key, segment)
        self.index.add(name, segment.parts)
        return name

    def remove(self, names: Iterable[str]) -> None:
        """Remove segments, and with each the only copy of its key."""
        gone = list(names)
        self.index.remove(gone)
        for name in gone:
            (self.segments / name).unlink(missing_ok=True)

    def segment(self, name: str) -> Segment:
        """Return a segment.

        Raises:
            Untrusted: It is damaged, which is noted.
            FileNotFoundError: It is gone, which is noted too.
        """
        try:
            return sealed_files.read_segment(self.segments / name, self.key)
        except (Untrusted, FileNotFoundError):
            self.damaged.add(name)
            raise

    def lacking(self, sizes: Mapping[str, int]) -> list[str]:
        """Return the digests among *sizes* that are not here whole, in their order."""
        return [
            digest
            for digest, size in sizes.items()
            if self.index.size(bytes.fromhex(digest)) != size
        ]

    def examine(self, digests: Iterable[str]) -> None:
        """Read every segment that holds any of *digests*, so that all damage is noted at once."""
        places = (place for digest in digests for place in self.index.places(bytes.fromhex(digest)))
        for name in {place.segment for place in places} - self.damaged:
            with contextlib.suppress(Untrusted, FileNotFoundError):
                self.segment(name)

    def drop_damaged(self) -> None:
        """Remove what was found damaged: what it held counts as lacking, so an upload brings it
        again, unless another segment holds it too."""
        if gone := set(self.damaged):
            self.remove(gone)
            self.damaged -= gone

    def read(self, place: Place) -> Iterator[memoryview]:
        """Yield the bytes at *place* in short blocks."""
        before, left = place.start, place.length
        for block in self.segment(place.segment).blocks():
            if before >= len(block):
                before -= len(block)
                continue
            piece = memoryview(block)[before : before + left]
            yield piece
            before, left = 0, left - len(piece)

    def record_whole(self, digest: bytes, places: list[Place]) -> None:
        """Record that a file in parts was verified at *places*."""
        document = json.dumps(places).encode()
        path = self.wholes / self._name(b"whole", digest)
        sealed_files.write_sealed(path, self.key, digest, document)
        self.index.verify(digest, places)

    def forget_whole(self, digest: bytes) -> None:
        """Remove what :meth:`record_whole` wrote."""
        self.index.unverify(digest)
        (self.wholes / self._name(b"whole", digest)).unlink(missing_ok=True)

    def refresh(self, segments: Iterable[str]) -> None:
        """Mark segments as in use now, which keeps them from the next prune."""
        for name in segments:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.segments / name)

    def usage(self) -> Usage:
        """Return what is here."""
        size = sum(item.stat().st_size for folder in self.folders for item in os.scandir(folder))
        return Usage(
            len(self.releases()), len(self.index.digests()), len(self.index.segments), size
        )

    def _load(self) -> None:
        """Fill the index.

        A file that cannot be opened is passed over: what it held counts as lacking, and the
        next upload brings it again.
        """
        for path in sorted(self.segments.iterdir()):
            if path.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(Untrusted, FileNotFoundError):
                self.index.add(path.name, sealed_files.read_segment_parts(path, self.key).parts)
        for path in self.wholes.iterdir():
            if path.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(Untrusted, FileNotFoundError):
                digest, document = sealed_files.read_both(path, self.key)
                self.index.verify(digest, [Place(*place) for place in json.loads(document)])

    def _name(self, kind: bytes, what: bytes) -> str:
        return mac(self._name_key, kind, what).hex()
