"""A workbench: keyring, store and host in one temporary directory, and the trip of a release."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path

from turnout.keys.keyring import Keyring
from turnout.packages.building import build
from turnout.packages.hosting import HostReleases, Received
from turnout.packages.manifest import Entry, Manifest
from turnout.packages.package import Package
from turnout.packages.scan import Scan, scan
from turnout.packages.segments import Part, Segment, pack
from turnout.packages.store import Store

PROJECT = "shop"
SCOPE = "shop/production"


class Workbench:
    """Everything that a release meets on its way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keyring = Keyring.open(root / "keys")
        self.store = Store(root / "store", self.keyring)
        self.host = HostReleases(root / "host")
        self.version = 0

    def write(self, name: str, files: Mapping[str, bytes]) -> Path:
        """Write *files* to a directory of that name."""
        directory = self.root / name
        for path, content in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        directory.mkdir(exist_ok=True)
        return directory

    def upload(self, scanned: Scan, project: str = PROJECT) -> str:
        """Bring a scanned directory into the store and return its release."""
        missing = self.store.missing(project, scanned.manifest)
        for segment in build(scanned, missing):
            self.store.add_segment(project, segment.encode())
        return self.store.commit(project, scanned.manifest)

    def release(self, name: str, files: Mapping[str, bytes]) -> str:
        """Write, scan and upload *files*."""
        return self.upload(scan(self.write(name, files)))

    def seal(self, release: str, lacking: Collection[str] | None = None) -> Package:
        """Seal a release for SCOPE under the next version."""
        self.version += 1
        return self.store.seal(PROJECT, release, SCOPE, self.version, lacking)

    def receive(self, package: Package | bytes, host: HostReleases | None = None) -> Received:
        """Bring a package to the host."""
        data = package if isinstance(package, bytes) else package.path.read_bytes()
        return (host or self.host).receive(
            io.BytesIO(data), self.keyring.environment_key(SCOPE), self.keyring.public_key, SCOPE
        )

    def deploy(self, release: str) -> Received:
        """Seal what the host lacks of a release and bring it there."""
        lacking = self.host.missing(self.store.manifest(PROJECT, release))
        return self.receive(self.seal(release, lacking))


def contents(directory: Path) -> dict[str, tuple[str, bytes | str, int]]:
    """Return path to kind, content or target, and mode, of everything below *directory*."""
    found: dict[str, tuple[str, bytes | str, int]] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), 0)
        elif path.is_file():
            found[name] = ("file", path.read_bytes(), path.stat().st_mode & 0o777)
    return found


def everything(directory: Path) -> list[str]:
    """Return all paths below *directory*, to see that something left no trace."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def noise(size: int, seed: int = 0) -> bytes:
    """Return *size* bytes that no compressor makes smaller."""
    return random.Random(seed).randbytes(size)


def entry(path: str, content: bytes = b"", mode: int = 0o644) -> Entry:
    """Return the entry of a file."""
    return Entry(path, "file", mode, len(content), hashlib.sha256(content).hexdigest())


def link(path: str, target: str) -> Entry:
    """Return the entry of a link."""
    return Entry(path, "link", 0o777, 0, "", target)


def unchecked(*entries: Entry) -> Manifest:
    """Return a manifest as a liar would write it: nothing is checked or sorted."""
    return Manifest(tuple(entries))


def segment_of(*files: bytes) -> Segment:
    """Return a segment with whole files."""
    parts = [Part(hashlib.sha256(data).digest(), 0, len(data), len(data)) for data in files]
    return pack(parts, b"".join(files))
