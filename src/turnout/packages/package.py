"""The package: what one host lacks of a release, sealed for one environment, as one file.

    "TPKG"  u8 version  3 zero bytes  u32 length of the envelope     (numbers little-endian)
    the placement in its signed envelope
    frames of AES-256-GCM under the run key, which together hold
        u8 codec  u32 plain bytes  u32 packed bytes  u32 files that follow   the manifest
        1 and a segment, as often as needed, then 0
    HMAC-SHA256, under a key derived from the environment's, of all that is before it

The placement stands first, so that a reader knows whom it trusts before it reads on; it names
the body's HMAC, so that it is valid with this body only.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from turnout.base.errors import Untrusted
from turnout.keys import sealing
from turnout.keys.keyring import Keyring, unwrap_run_key
from turnout.keys.mac import MAC_BYTES, derive, mac, running_mac, same
from turnout.packages import codec, placement
from turnout.packages.disk import explained, sync_directory, temporary_name, write_all
from turnout.packages.limits import DEFAULT, Limits
from turnout.packages.manifest import Manifest, parse
from turnout.packages.placement import Placement
from turnout.packages.segments import Segment, Source, decode

MAGIC = b"TPKG\x01\0\0\0"
_LENGTH = struct.Struct("<I")
_MANIFEST = struct.Struct("<BIII")
_MAX_ENVELOPE = 16 << 10


@dataclass(frozen=True)
class Package:
    """A package file.

    Attributes:
        path: The file.
        bytes: Its size.
        scope: The environment that it is sealed for.
        release: What it holds, or the part of it that was lacking.
        version: Of its placement.
        placement: The signed envelope, as it stands in the file.
        blobs: Files that travel in it.
    """

    path: Path
    bytes: int
    scope: str
    release: str
    version: int
    placement: builtins.bytes
    blobs: int


def write_package(
    path: Path,
    keyring: Keyring,
    scope: str,
    version: int,
    manifest: Manifest,
    segments: Iterable[Segment],
    files: int = 0,
) -> Package:
    """Seal *segments* under a fresh run key, and sign their placement.

    The file appears whole and on the disk, or not at all.

    Args:
        path: The file to be.
        keyring: Holds the environment's key and the signing key.
        scope: The environment it is for.
        version: Of the placement; greater than every earlier one of the scope.
        manifest: The whole release's.
        segments: What the host lacks of it.
        files: How many files that is, or 0, for the host to prepare for.

    Raises:
        Exhausted: The disk is full.
    """
    environment_key = keyring.environment_key(scope)
    run_key = sealing.new_key()
    project, environment = scope.split("/")
    wrapped = keyring.wrap(scope, run_key).hex()
    statement = Placement(project, environment, manifest.release, version, "0" * 64, wrapped)
    # Signatures and MACs have one length, so the real envelope will fit in this one's place.
    room = len(statement.sign(keyring.signer))
    temporary = temporary_name(path.parent)
    blobs: set[bytes] = set()
    with explained("A package cannot be written", path):
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            head = MAGIC + _LENGTH.pack(room)
            os.lseek(handle, len(head) + room, os.SEEK_SET)
            running = running_mac(_body_key(environment_key, statement))

            def write(frame: memoryview) -> None:
                running.update(frame)
                write_all(handle, frame)

            body = sealing.SealingWriter(run_key, write, manifest.release.encode())
            _write_manifest(body, manifest, files)
            for segment in segments:
                body.write(b"\1")
                body.write(segment.header())
                body.write(segment.packed)
                blobs.update(part.digest for part in segment.parts)
            body.write(b"\0")
            body.close()
            body_mac = running.digest()
            statement = replace(statement, package_mac=body_mac.hex())
            envelope = statement.sign(keyring.signer)
            write_all(handle, _trailer(environment_key, envelope, body_mac))
            os.lseek(handle, 0, os.SEEK_SET)
            write_all(handle, head + envelope)
            os.fsync(handle)
            size = os.fstat(handle).st_size
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        sync_directory(path.parent)
    return Package(path, size, scope, manifest.release, version, envelope, len(blobs))


class PackageReader:
    """A package that is read as a stream, in the order of its parts.

    Nothing that it hands out is the release until :meth:`finish` has returned: a caller keeps
    what it wrote out of sight until then.  How many ``files`` follow is known after
    :meth:`manifest`, if the sealer said it, and is a hint.

    Args:
        stream: The package.
        environment_key: 32 bytes.
        public_key: The server's signing key, as text.

    Raises:
        Untrusted: It is no package, or its placement is not signed by that key.
    """

    def __init__(self, stream: Source, environment_key: bytes, public_key: str) -> None:
        self._stream = stream
        self._environment_key = environment_key
        self.bytes = 0
        self.files = 0
        head = self._exactly(len(MAGIC) + _LENGTH.size)
        if not head.startswith(MAGIC):
            raise Untrusted("That is not a package that this version can read")
        (length,) = _LENGTH.unpack(head[len(MAGIC) :])
        if length > _MAX_ENVELOPE:
            raise Untrusted("A package has a placement that is too long")
        self._envelope = self._exactly(length)
        self.placement = placement.verify(self._envelope, public_key)
        wrapped = bytes.fromhex(self.placement.wrapped_key)
        run_key = unwrap_run_key(environment_key, self.placement.scope, wrapped)
        self._running = running_mac(_body_key(environment_key, self.placement))
        self._body = sealing.UnsealingReader(
            run_key, self._read_body, self.placement.release.encode()
        )

    def manifest(self, limits: Limits = DEFAULT) -> Manifest:
        """Read the manifest; call it first.

        Raises:
            Untrusted: It is not the manifest of the release that the placement names.
        """
        head = self._body.read(_MANIFEST.size)
        if len(head) < _MANIFEST.size:
            raise Untrusted("A package holds no manifest")
        used, plain_bytes, packed_bytes, self.files = _MANIFEST.unpack(head)
        if max(plain_bytes, packed_bytes) > limits.manifest_bytes:
            raise Untrusted("A package has a manifest that is too long")
        packed = self._body.read(packed_bytes)
        plain = codec.decompress(used, packed, plain_bytes)
        if hashlib.sha256(plain).hexdigest() != self.placement.release:
            raise Untrusted(
                "A package holds the manifest of another release", subject=self.placement.release
            )
        return parse(plain, limits)

    def segments(self) -> Iterator[Segment]:
        """Yield the segments; call it after :meth:`manifest`.

        Raises:
            Untrusted: One is not as it should be.
        """
        while (mark := self._body.read(1)) != b"\0":
            if mark != b"\1":
                raise Untrusted("A package is not as it should be", why="it ends too early")
            yield decode(self._body)

    def finish(self) -> None:
        """Read to the end and check that the whole package is what the server sealed.

        Raises:
            Untrusted: It is not.
        """
        if self._body.read(1):
            raise Untrusted("A package holds something after its end")
        body_mac = self._running.digest()
        trailer = self._exactly(MAC_BYTES)
        expected = _trailer(self._environment_key, self._envelope, body_mac)
        named = bytes.fromhex(self.placement.package_mac)
        if not (same(body_mac, named) and same(trailer, expected)):
            raise Untrusted(
                "A package is not the one that was placed",
                subject=self.placement.release,
                why="its authentication code does not match",
                next_step="Deploy again; if it happens again, packages are changed on the way.",
            )
        if self._stream.read(1):
            raise Untrusted("A package is followed by something else")

    def _read_body(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.bytes += len(data)
        self._running.update(data)
        return data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                raise Untrusted("A package ends too early")
            data += more
        self.bytes += size
        return data


def _write_manifest(body: sealing.SealingWriter, manifest: Manifest, files: int) -> None:
    used, packed = codec.compress(manifest.canonical)
    body.write(_MANIFEST.pack(used, len(manifest.canonical), len(packed), files))
    body.write(packed)


def _body_key(environment_key: bytes, statement: Placement) -> bytes:
    return derive(
        environment_key, "package", statement.scope, statement.release, str(statement.version)
    )


def _trailer(environment_key: bytes, envelope: bytes, body_mac: bytes) -> bytes:
    return mac(derive(environment_key, "package trailer"), MAGIC, envelope, body_mac)
