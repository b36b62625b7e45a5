"""The releases of a host: received, verified, unpacked once, and never changed after.

    releases/RELEASE/tree       the files
    releases/RELEASE/manifest   in canonical form
    releases/RELEASE/index      where every file is and how it was when it was unpacked
    incoming/                   what is not finished
    seen/PROJECT/ENVIRONMENT    the highest version of a placement that was accepted

A release appears by one rename, after its package was verified to the last byte and is on the
disk.  Trees are read-only by convention: static roots link to their files, server apps get
copies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from turnout.base.errors import Conflict, NotFound, TurnoutError, Untrusted
from turnout.base.ids import RELEASE
from turnout.packages import copying, receiving, versions
from turnout.packages.buffers import giving_back, one_arena
from turnout.packages.disk import (
    explained,
    remove_tree,
    sync_directory,
    sync_tree,
    temporary_name,
)
from turnout.packages.host_index import HostIndex
from turnout.packages.limits import DEFAULT, Limits
from turnout.packages.manifest import Manifest, parse
from turnout.packages.package import PackageReader
from turnout.packages.reuse import find_verified, is_whole
from turnout.packages.segments import Segment, Source
from turnout.packages.verifying import verify_tree


@dataclass(frozen=True)
class Received:
    """What came of a package.

    Attributes:
        release: The release, now held.
        version: Of its placement.
        files: Files and links in the tree.
        bytes: Of all files.
        reused_files: Files that came from releases held before.
        received_bytes: Of the package.
    """

    release: str
    version: int
    files: int
    bytes: int
    reused_files: int
    received_bytes: int


class HostReleases:
    """The releases of one host; safe to use from several threads of one process.

    Args:
        root: Its directory; made with mode 0700.
        limits: What a manifest may hold.
    """

    def __init__(self, root: Path, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._releases = root / "releases"
        self._incoming = root / "incoming"
        self._seen = versions.Seen(root / "seen")
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        one_arena()
        with explained("The host's releases cannot be kept", root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._releases.mkdir(mode=0o755, exist_ok=True)
            self._incoming.mkdir(mode=0o700, exist_ok=True)

    def held(self) -> list[str]:
        """Return the releases that are here, in the order of their ids."""
        return sorted(
            path.name for path in self._releases.iterdir() if RELEASE.fullmatch(path.name)
        )

    def tree(self, release: str) -> Path:
        """Return the directory with the files of a release.

        Raises:
            NotFound: It is not held.
        """
        return self._directory(release) / "tree"

    def manifest(self, release: str) -> Manifest:
        """Return the manifest of a held release.

        Raises:
            NotFound: It is not held.
        """
        return parse((self._directory(release) / "manifest").read_bytes(), self._limits)

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the digests that no held release has, in the order of the manifest.

        A file counts as held if it is as it was when it was unpacked, or at least hashes to
        the same.
        """
        wanted = {bytes.fromhex(digest) for digest in manifest.sizes}
        with explained("The host's releases cannot be read", self._releases):
            here = find_verified(self._indexes(manifest.release), wanted)
        return [digest for digest in manifest.sizes if bytes.fromhex(digest) not in here]

    @giving_back
    def receive(
        self,
        stream: Source,
        environment_key: bytes,
        public_key: str,
        scope: str,
        release: str | None = None,
    ) -> Received:
        """Verify a package and make its release one of this host's.

        Nothing is visible before the signature, the version, every segment, every file and
        the package's authentication code were checked.  Receiving a release again only notes
        the version, unless something of it was touched: then it is made whole.

        Args:
            stream: The package.
            environment_key: 32 bytes.
            public_key: The server's signing key, as text.
            scope: The environment it must be for.
            release: The release it must hold; None for whichever its placement names.

        Raises:
            Untrusted: It is not what it should be; the error says in which way.
            Exhausted: The disk is full.
            Conflict: The same release is being received by another call.
        """
        reader = PackageReader(stream, environment_key, public_key)
        placement = reader.placement
        if placement.scope != scope or release not in (None, placement.release):
            raise Untrusted(
                "A package is for another environment or release",
                subject=f"{placement.scope} {placement.release}",
                why=f"expected was {scope} {release or ''}".rstrip(),
            )
        release = placement.release
        with (
            self._alone(release),
            explained("A release cannot be unpacked", release),
            self._seen.lock(scope),
        ):
            self._seen.check(scope, placement.version, release)
            manifest = reader.manifest(self._limits)
            segments = reader.segments()
            first = next(segments, None)
            if first is None and is_whole(self._releases / release, manifest):
                reader.finish()
                reused = manifest.files
                self._seen.record(scope, placement.version, release)
            else:
                segments = chain([first] if first else [], segments)
                reused = self._lay(reader, manifest, segments)
            return Received(
                release,
                placement.version,
                len(manifest.columns.codes),
                manifest.bytes,
                reused,
                reader.bytes,
            )

    def verify(self, release: str) -> list[str]:
        """Hash every file of a release again and return what is not as it should be.

        Raises:
            NotFound: It is not held.
        """
        with explained("A release cannot be read", release):
            return verify_tree(self.tree(release), self.manifest(release))

    def copy_tree(self, release: str, destination: Path) -> bool:
        """Make a private copy of a release for a server app; see :mod:`copying`."""
        return copying.copy_tree(self.tree(release), destination)

    def link_tree(self, release: str, destination: Path) -> bool:
        """Make a static root of a release by hard links; see :mod:`copying`."""
        return copying.link_tree(self.tree(release), destination)

    def remove(self, release: str) -> bool:
        """Remove a release; it is gone at once, its files soon after.

        Returns:
            Whether it was held.

        Raises:
            Conflict: It is being received.
        """
        _check_release(release)
        with self._alone(release), explained("A release cannot be removed", release):
            trash = temporary_name(self._incoming)
            try:
                (self._releases / release).rename(trash)
            except FileNotFoundError:
                return False
            sync_directory(self._releases)
            remove_tree(trash)
            return True

    def sweep(self) -> int:
        """Remove what a crash left unfinished; call it once, before anything else.

        Returns:
            How many were removed.
        """
        left = list(self._incoming.iterdir())
        for path in left:
            remove_tree(path)
        for path in self._seen.leftovers():
            path.unlink(missing_ok=True)
        return len(left)

    def _lay(self, reader: PackageReader, manifest: Manifest, segments: Iterator[Segment]) -> int:
        """Make the tree of a release anew and return how many files came from held ones."""
        placement = reader.placement
        place = temporary_name(self._incoming)
        place.mkdir(mode=0o700)
        try:
            held = self._indexes(placement.release)
            reused = receiving.unpack(reader, manifest, segments, held, place)
            self._seen.record(placement.scope, placement.version, placement.release)
            self._publish(place, placement.release)
        finally:
            if place.exists():
                remove_tree(place)
        return reused

    def _publish(self, place: Path, release: str) -> None:
        target = self._releases / release
        sync_tree(place)
        place.chmod(0o755)
        aside = temporary_name(self._incoming)
        if target.exists():
            # The same release again, made whole: the old tree steps aside for the new one.
            target.rename(aside)
        place.rename(target)
        sync_directory(self._releases)
        if aside.exists():
            remove_tree(aside)

    def _indexes(self, first: str) -> Iterator[HostIndex]:
        """Yield the index of every held release, that of *first* first."""
        for release in sorted(self.held(), key=lambda name: name != first):
            try:
                index = HostIndex(self._releases / release)
                index.rows  # noqa: B018  # read here, where damage is passed over
            except (TurnoutError, FileNotFoundError):
                # A damaged or vanished index only means that less is reused.
                continue
            yield index

    def _directory(self, release: str) -> Path:
        _check_release(release)
        directory = self._releases / release
        if not directory.is_dir():
            raise NotFound("This host does not hold the release", subject=release)
        return directory

    @contextmanager
    def _alone(self, release: str) -> Iterator[None]:
        with self._lock:
            if release in self._busy:
                raise Conflict("The release is being received or removed", subject=release)
            self._busy.add(release)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(release)


def _check_release(release: str) -> None:
    if not RELEASE.fullmatch(release):
        raise NotFound(f"{release[:80]!r} is not a release")
