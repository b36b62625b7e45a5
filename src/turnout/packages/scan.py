"""Scanning: a directory becomes a manifest, and nothing that moves meanwhile goes unnoticed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from turnout.base.errors import InvalidInput
from turnout.packages import hashing
from turnout.packages.buffers import uncollected
from turnout.packages.hash_files import Hashing
from turnout.packages.hashing import Mark
from turnout.packages.ignore import Ignore, read_ignore
from turnout.packages.limits import DEFAULT, Limits
from turnout.packages.manifest import LINK, Columns, Manifest, checked
from turnout.packages.scan_cache import ScanCache
from turnout.packages.walking import Descent

Progress = Callable[[int, int], None]
"""Called now and then with the files read so far and those to read in all."""


@dataclass(frozen=True)
class Scan:
    """A directory as it was scanned.

    Attributes:
        root: The directory.
        manifest: What is in it.
        marks: Path of every file to what the file system said of it when it was read, by
            which a later reader notices a change.
        hashed: How many files were read; the others were known from the cache.
    """

    root: Path
    manifest: Manifest
    marks: dict[str, Mark]
    hashed: int

    @cached_property
    def paths(self) -> dict[str, str]:
        """Digest to the first path that has it."""
        columns = self.manifest.columns
        paths = columns.paths
        if columns.targets:
            kinds = zip(paths, columns.codes, strict=True)
            paths = [path for path, code in kinds if code != LINK]
        return dict(zip(reversed(columns.digests), reversed(paths), strict=True))


def scan(
    directory: Path,
    *,
    limits: Limits = DEFAULT,
    progress: Progress | None = None,
    cache: Path | None = None,
    ignore: Ignore | None = None,
) -> Scan:
    """Return what *directory* holds, every file read and hashed.

    Times, owners, the order of the directory and the umask do not matter: a file is 0755 if
    its owner may execute it and 0644 if not.  Empty directories are left out, as in git.

    Args:
        directory: What becomes a release.
        limits: What is refused.
        progress: Told how far the reading is.
        cache: A file that remembers digests from one scan to the next; written at the end.
        ignore: What is left out; None reads ``.turnoutignore`` in *directory*.

    Raises:
        InvalidInput: Something in it cannot be part of a release, or changed meanwhile; the
            error names it.
    """
    if not directory.is_dir():
        raise InvalidInput(
            "There is no such directory to package",
            subject=str(directory),
            next_step="Build the project first, or name another directory.",
        )
    with uncollected():
        return _scan(directory.resolve(), limits, progress, cache, ignore)


def _scan(
    root: Path,
    limits: Limits,
    progress: Progress | None,
    cache: Path | None,
    ignore: Ignore | None,
) -> Scan:
    memory = ScanCache.load(cache)
    digests: dict[str, str] = {}
    with Hashing(root, progress) as reading:

        def add(path: str, mark: Mark) -> None:
            digest = memory.digest(path, mark)
            if digest:
                digests[path] = digest
            else:
                reading.add(path, mark)

        walk = _Walk(root, ignore or read_ignore(root), limits, add)
        walk.run()
        read = reading.finish()
    digests.update(read)
    manifest = checked(_manifest(walk, digests), limits)
    if cache is not None and read:
        ScanCache.save(cache, walk.files, digests)
    return Scan(root, manifest, walk.files, len(read))


def _manifest(walk: _Walk, digests: Mapping[str, str]) -> Manifest:
    # Code points and bytes of UTF-8 sort alike.
    paths = sorted([*walk.files, *walk.links])
    files = [path for path in paths if path in walk.files] if walk.links else paths
    sizes = {path: mark.size for path, mark in walk.files.items()}
    return Manifest(
        columns=Columns(
            codes=bytes([walk.codes.get(path, LINK) for path in paths]),
            sizes=[sizes.get(path, 0) for path in paths],
            digests=[digests[path] for path in files],
            paths=paths,
            targets=[walk.links[path] for path in paths if path in walk.links],
        )
    )


class _Walk:
    """One pass over the names, without reading any content."""

    def __init__(
        self, root: Path, ignore: Ignore, limits: Limits, found: Callable[[str, Mark], None]
    ) -> None:
        self._root = root
        self._ignore = ignore
        self._limits = limits
        self._found = found
        self._bytes = 0
        self.files: dict[str, Mark] = {}
        self.codes: dict[str, int] = {}
        self.links: dict[str, str] = {}

    def run(self) -> None:
        todo = [""]
        with Descent(self._root) as descent:
            while todo:
                directory = todo.pop()
                try:
                    todo.extend(self._list(descent.enter(directory), directory))
                except OSError as error:
                    _refuse(directory, error.strerror or "it cannot be read")

    def _list(self, handle: int, directory: str) -> list[str]:
        below = []
        prefix = directory + "/" if directory else ""
        with os.scandir(handle) as names:
            for item in names:
                name = item.name
                path = prefix + name
                is_directory = item.is_dir(follow_symlinks=False)
                if self._ignore(path, name, directory=is_directory):
                    continue
                if not name.isascii():
                    _check_unicode(path)
                if is_directory:
                    below.append(path)
                else:
                    self._add(path, item, handle)
        if prefix.count("/") > self._limits.path_bytes // 2:
            _refuse(directory, "it lies too deep")
        return below

    def _add(self, path: str, item: os.DirEntry[str], handle: int) -> None:
        facts = item.stat(follow_symlinks=False)
        if stat.S_ISREG(facts.st_mode):
            mark = self.files[path] = hashing.mark_of(facts)
            self.codes[path] = 1 if facts.st_mode & stat.S_IXUSR else 0
            self._bytes += facts.st_size
            self._check_limits(path, facts.st_size)
            self._found(path, mark)
        elif stat.S_ISLNK(facts.st_mode):
            target = os.readlink(item.name, dir_fd=handle)
            _check_unicode(path, target)
            self.links[path] = target
        else:
            _refuse(path, "it is a device, a socket or a pipe")

    def _check_limits(self, path: str, size: int) -> None:
        """Stop before the first byte is read; the manifest's own check comes after the last."""
        limits = self._limits
        if size > limits.file_bytes:
            _refuse(path, f"it has {size} bytes; {limits.file_bytes} are allowed")
        if self._bytes > limits.total_bytes:
            _refuse("", f"the files have more than {limits.total_bytes} bytes")
        if len(self.files) > limits.files:
            _refuse("", f"there are more than {limits.files} files")


def _check_unicode(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        _refuse(texts[0], "its name or target is not UTF-8")


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidInput(
        "This cannot be packaged",
        subject=ascii(path)[1:-1][:300] or ".",
        why=why,
        next_step="Remove it, or name it in .turnoutignore.",
    )
