"""The store: the server's sealed memory of every release, a room of its own for each project.

    PROJECT/segments/MAC.seg     what was uploaded, packed as it came, sealed
    PROJECT/wholes/MAC           where a file that came in parts was verified as a whole
    PROJECT/releases/MAC         the manifest of a release, sealed
    PROJECT/packages/MAC-N.pkg   packages on their way to hosts

Names are MACs under the project's key, so the directory tells nothing about its content.  Every
file is written beside and renamed: after a crash at any point what is there is whole.  One
process owns a store; its threads may do anything at the same time.

What a disk damaged is noticed when it is read: it is dropped then and counts as lacking, so
that the next upload of the same files brings it again.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from turnout.base.errors import Failed, InvalidInput, NotFound, TurnoutError, Untrusted
from turnout.base.ids import RELEASE, check_name
from turnout.keys.keyring import Keyring
from turnout.keys.mac import derive
from turnout.packages import intake, pruning, sealed_files, sealing_plan
from turnout.packages.buffers import giving_back, one_arena, uncollected
from turnout.packages.disk import TEMPORARY, explained, remove_tree
from turnout.packages.limits import DEFAULT, Limits
from turnout.packages.locks import SharedLock
from turnout.packages.manifest import Manifest, recall
from turnout.packages.package import Package, write_package
from turnout.packages.pruning import PruneReport
from turnout.packages.rooms import Room, Usage
from turnout.packages.segments import Source

_OPEN_ROOMS = 8
"""Projects whose index stays in memory; a Node app's takes an estimated 15 MB."""


class Store:
    """Every project's releases, sealed.

    Args:
        root: The store's directory; made with mode 0700.
        keyring: Where its keys are.
        limits: What a manifest may hold.
    """

    def __init__(self, root: Path, keyring: Keyring, limits: Limits = DEFAULT) -> None:
        self._root = root
        self._keyring = keyring
        self._limits = limits
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._locks: dict[str, SharedLock] = {}
        self._guard = threading.Lock()
        one_arena()
        with explained("The store cannot be made", root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def missing(self, project: str, manifest: Manifest) -> list[str]:
        """Return the digests of *manifest* that the project lacks, in the manifest's order.

        What other projects hold counts for nothing: whether somebody else has a file is not
        this project's business.  What is here and asked for is kept from a prune for a while.
        """
        with self._sharing(project) as room:
            return intake.lacking(room, manifest)

    def held_parts(self, project: str, manifest: Manifest) -> dict[str, list[tuple[int, int]]]:
        """Return the parts that are here of large files whose upload was cut.

        Returns:
            Digest to (offset, length), for :func:`turnout.packages.building.build`.
        """
        with self._sharing(project) as room:
            return intake.held_parts(room, manifest)

    def add_segment(self, project: str, data: bytes | Source) -> int:
        """Verify a segment and keep it, sealed.

        Each file is checked against its digest before anybody can see it; one that comes in
        parts when its last part is in.  Adding a segment again changes nothing.

        Returns:
            The files that are complete through it.

        Raises:
            Untrusted: It is damaged or not what it says; nothing is kept of it.
            Exhausted: The disk is full; nothing is kept of it.
        """
        # Read before the lock is taken: a slow upload must not keep a prune, and everybody
        # behind it, waiting.
        segment = intake.receive(data)
        with explained("A segment cannot be stored", project):
            with self._sharing(project) as room:
                complete, bad = intake.add(room, segment)
            if bad:
                with self._lock(project).alone():
                    intake.reject(self._room(project), bad)
            return complete

    @giving_back
    def commit(self, project: str, manifest: Manifest) -> str:
        """Make *manifest* a release of the project and return its id.

        Raises:
            InvalidInput: The project lacks files of it; ``facts["missing"]`` counts them.
        """
        with self._sharing(project) as room:
            if lacking := room.lacking(manifest.sizes):
                raise InvalidInput(
                    "A release cannot be committed before all its files are here",
                    subject=manifest.release,
                    why=f"{len(lacking)} of {len(manifest.sizes)} are lacking",
                    next_step="Ask again what is missing, send it, and commit again.",
                    facts={"missing": len(lacking)},
                )
            path = room.release_path(manifest.release)
            if not path.exists():
                with explained("A release cannot be stored", project):
                    head = manifest.release.encode()
                    sealed_files.write_sealed(path, room.key, head, manifest.canonical)
            return manifest.release

    def has(self, project: str, release: str) -> bool:
        """Return whether *release* is committed."""
        _check_release(release)
        with self._sharing(project) as room:
            return room.release_path(release).exists()

    def lacks(self, project: str, manifest: Manifest) -> int:
        """Return how many files of a release the project lacks, though it may be committed.

        Cheap: what is known to be damaged is lacking; nothing is read to find more of it.
        """
        with self._sharing(project) as room:
            return len(room.lacking(manifest.sizes))

    def releases(self, project: str) -> list[str]:
        """Return all committed releases, oldest first."""
        with self._sharing(project) as room:
            return room.releases()

    def manifest(self, project: str, release: str) -> Manifest:
        """Return the manifest of a committed release.

        Raises:
            NotFound: There is no such release.
        """
        _check_release(release)
        with self._sharing(project) as room:
            return self._manifest(room, release)

    def blob(self, project: str, digest: str) -> Iterator[bytes]:
        """Yield the content of a file in blocks of at most a segment's size.

        Raises:
            NotFound: The project does not hold it.
        """
        raw = bytes.fromhex(digest)
        done = 0
        while True:
            # One block a time under the lock: a slow reader must not hold up a prune.
            with self._sharing(project) as room, explained("A file cannot be read", digest):
                size = room.index.size(raw)
                if size is None:
                    raise NotFound("The project holds no such file", subject=digest)
                if done == size:
                    return
                place = next(p for p in room.index.places(raw) if p.offset == done)
                block = b"".join(room.read(place))
            done += len(block)
            yield block

    @giving_back
    def seal(
        self,
        project: str,
        release: str,
        scope: str,
        version: int,
        lacking: Collection[str] | None = None,
    ) -> Package:
        """Make the package that brings *release* to a host that lacks *lacking* of it.

        Every call takes a fresh key, so a retried step never uses a nonce twice.  The caller
        discards the package when the host has it.  Content that turns out to be damaged is
        dropped, and taken from where else the store holds it.

        Args:
            project: Whose release it is.
            release: A committed release.
            scope: The environment it is for, of the same project.
            version: Of the placement; greater than every earlier one of the scope.
            lacking: Digests; None for all files.

        Raises:
            NotFound: There is no such release.
            InvalidInput: *scope* is another project's, or a digest is not in the release.
            Failed: A file of it is damaged or gone, and nowhere else in the store.
            Exhausted: The disk is full.
        """
        _check_release(release)
        if not scope.startswith(project + "/"):
            raise InvalidInput(
                "A release cannot be placed in another project's environment", subject=scope
            )
        while True:
            with self._sharing(project) as room, uncollected():
                manifest = self._manifest(room, release)
                wanted = manifest.sizes.keys() if lacking is None else set(lacking)
                if not wanted <= manifest.sizes.keys():
                    raise InvalidInput("A host asks for files that the release does not have")
                path = room.packages / f"{room.package_prefix(release)}{secrets.token_hex(8)}.pkg"
                try:
                    segments = sealing_plan.segments_for(room, {*map(bytes.fromhex, wanted)})
                    return write_package(
                        path, self._keyring, scope, version, manifest, segments, len(wanted)
                    )
                except TurnoutError:
                    if not room.damaged:
                        raise
                    # All of it at once, or every next try would find a little more.
                    room.examine(wanted)

    def discard(self, package: Package) -> None:
        """Remove a package, and with it the only copies of its wrapped run key."""
        package.path.unlink(missing_ok=True)

    def prune(self, project: str, keep: Collection[str], age_s: float = 3600.0) -> PruneReport:
        """Remove every release but *keep*, and whatever no release needs any more.

        What is younger than *age_s* stays whatever it is: it may belong to an upload or a
        deployment that is under way.

        Args:
            project: Whose.
            keep: Releases that are live, under way, or rollback targets anywhere.
            age_s: Seconds.
        """
        lock = self._lock(project)
        with lock.alone(), explained("The store cannot be pruned", project):
            room = self._room(project)
            try:
                return pruning.prune(room, set(keep), time.time() - age_s)
            finally:
                room.drop_damaged()

    def usage(self, project: str) -> Usage:
        """Return what the project takes."""
        with self._sharing(project) as room:
            return room.usage()

    def sweep(self) -> int:
        """Remove what a crash left unfinished; call it once, before anything else.

        Returns:
            The files removed.
        """
        removed = 0
        for path in self._root.glob(f"*/*/{TEMPORARY}*"):
            remove_tree(path)
            removed += 1
        return removed

    def remove_project(self, project: str) -> None:
        """Remove everything of a project."""
        with self._lock(project).alone():
            directory = self._room(project).directory
            self._rooms.pop(project, None)
            remove_tree(directory)

    @contextmanager
    def _sharing(self, project: str) -> Iterator[Room]:
        room = None
        try:
            with self._lock(project).shared():
                room = self._room(project)
                yield room
        finally:
            if room is not None and room.damaged:
                with self._lock(project).alone():
                    room.drop_damaged()

    def _manifest(self, room: Room, release: str) -> Manifest:
        try:
            _, content = sealed_files.read_both(room.release_path(release), room.key)
        except FileNotFoundError as error:
            raise NotFound(
                "There is no such release", subject=release, why="it was pruned or never uploaded"
            ) from error
        except Untrusted as error:
            # Out of the way, so that an upload of the same files writes it again.
            room.release_path(release).unlink(missing_ok=True)
            raise Failed(
                "The store's list of the files of a release is damaged",
                subject=release[:12],
                why=error.why or error.what,
                next_step="Deploy the same files again: that restores the release.",
                facts={"final": True},
            ) from error
        return recall(content, self._limits)

    def _lock(self, project: str) -> SharedLock:
        check_name(project, "a project")
        with self._guard:
            return self._locks.setdefault(project, SharedLock())

    def _room(self, project: str) -> Room:
        with self._guard:
            room = self._rooms.pop(project, None)
            if room is None:
                with explained("The store cannot be read", project):
                    key = self._keyring.store_key(project)
                    room = Room(self._root / project, derive(key, "seal"), derive(key, "name"))
            self._rooms[project] = room
            idle = [name for name in self._rooms if self._locks[name].idle and name != project]
            for name in idle[: max(0, len(self._rooms) - _OPEN_ROOMS)]:
                del self._rooms[name]
            return room


def _check_release(release: str) -> None:
    if not RELEASE.fullmatch(release):
        raise InvalidInput(
            f"{release[:80]!r} is not a release", why="a release is 64 hexadecimal digits"
        )
