"""The manifest: every file of a release, in a form that is the same wherever it is made.

Canonical bytes, all numbers little-endian:

    "turnout-manifest-1\\n"  u32 entries  u32 length of paths  u32 length of targets
    one byte an entry: 0 file 0644, 1 file 0755, 2 link
    u64 an entry: size, 0 for a link
    32 bytes a file: SHA-256
    the paths, in the order of their bytes, separated by NUL
    the targets of the links, separated by NUL

Columns, because 56,000 of them are split by C code in a few milliseconds, and compress well.
Nothing is optional, so equal manifests have equal bytes and :func:`parse` refuses all others.
"""

from __future__ import annotations

import builtins
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from turnout.base.errors import InvalidInput
from turnout.packages.limits import DEFAULT, Limits
from turnout.packages.paths import check_links, check_paths

MAGIC = b"turnout-manifest-1\n"
DIGEST_BYTES = 32

_HEAD = struct.Struct("<III")
_KIND_OF: tuple[Literal["file", "link"], ...] = ("file", "file", "link")
_MODE_OF = (0o644, 0o755, 0o777)


class Entry(NamedTuple):
    """One file or link; a named tuple, because there may be 200,000.

    Attributes:
        path: Relative, with ``/``.
        kind: ``file`` or ``link``.
        mode: 0o644 or 0o755; 0o777 for a link, whose mode means nothing.
        size: Bytes; 0 for a link.
        digest: SHA-256 of the content in hexadecimal; empty for a link.
        target: What a link says; empty for a file.
    """

    path: str
    kind: Literal["file", "link"]
    mode: int
    size: int
    digest: str
    target: str = ""


@dataclass(frozen=True)
class Manifest:
    """The entries of a release, in the order of their paths' bytes; see :func:`manifest_of`."""

    entries: tuple[Entry, ...]

    @property
    def files(self) -> int:
        return sum(entry.kind == "file" for entry in self.entries)

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Digest to size, for every file."""
        return {entry.digest: entry.size for entry in self.entries if entry.kind == "file"}

    @cached_property
    def canonical(self) -> builtins.bytes:
        """The bytes that the release is known by."""
        return _encode(self.entries)

    @cached_property
    def release(self) -> str:
        """The release: SHA-256 of the canonical bytes, in hexadecimal."""
        return hashlib.sha256(self.canonical).hexdigest()


def manifest_of(entries: Iterable[Entry], limits: Limits = DEFAULT) -> Manifest:
    """Return the manifest of *entries*, which may come in any order.

    Raises:
        InvalidInput: An entry is not allowed, or there are too many.
    """
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    return _checked(tuple(ordered), limits)


def release_id(manifest: Manifest) -> str:
    """Return the release that *manifest* describes."""
    return manifest.release


def parse(data: bytes, limits: Limits = DEFAULT) -> Manifest:
    """Return the manifest in *data*, which may be hostile.

    Raises:
        InvalidInput: It is not a manifest in canonical form, or describes a release that is
            not allowed.
    """
    if len(data) > limits.manifest_bytes:
        raise InvalidInput("A manifest is too long", why=f"over {limits.manifest_bytes} bytes")
    manifest = _checked(_decode(data, limits), limits)
    # The checks leave one form only; what was parsed is therefore what will be signed.
    manifest.__dict__["canonical"] = bytes(data)
    return manifest


def _encode(entries: tuple[Entry, ...]) -> bytes:
    paths = "\0".join(entry.path for entry in entries).encode()
    targets = "\0".join(entry.target for entry in entries if entry.kind == "link").encode()
    codes = bytes(
        2 if entry.kind == "link" else 1 if entry.mode == 0o755 else 0 for entry in entries
    )
    return b"".join(
        (
            MAGIC,
            _HEAD.pack(len(entries), len(paths), len(targets)),
            codes,
            struct.pack(f"<{len(entries)}Q", *(entry.size for entry in entries)),
            bytes.fromhex("".join(entry.digest for entry in entries)),
            paths,
            targets,
        )
    )


def _decode(data: bytes, limits: Limits) -> tuple[Entry, ...]:
    start = len(MAGIC) + _HEAD.size
    if len(data) < start or not data.startswith(MAGIC):
        _refuse("it does not begin like one")
    count, path_bytes, target_bytes = _HEAD.unpack_from(data, len(MAGIC))
    if not 0 < count <= limits.files:
        _refuse(f"it has {count} entries; 1 to {limits.files} are allowed")
    codes = data[start : start + count]
    if len(codes) < count or codes.translate(None, b"\x00\x01\x02"):
        _refuse("it has an entry of an unknown kind")
    links = codes.count(2)
    digests_at = start + 9 * count
    paths_at = digests_at + DIGEST_BYTES * (count - links)
    if len(data) != paths_at + path_bytes + target_bytes:
        _refuse("its length is not what its head says")
    sizes = struct.unpack_from(f"<{count}Q", data, start + count)
    hexes = data[digests_at:paths_at].hex()
    try:
        paths = data[paths_at : paths_at + path_bytes].decode().split("\0")
        targets = data[paths_at + path_bytes :].decode().split("\0") if links else []
    except UnicodeDecodeError:
        _refuse("a path in it is not UTF-8")
    if len(paths) != count or len(targets) != links or (target_bytes and not links):
        _refuse("it has more or fewer paths than entries")
    width = 2 * DIGEST_BYTES
    files = [hexes[at : at + width] for at in range(0, len(hexes), width)]
    if links:
        next_file, next_target = iter(files), iter(targets)
        files = ["" if code == 2 else next(next_file) for code in codes]
        targets = [next(next_target) if code == 2 else "" for code in codes]
    else:
        targets = [""] * count
    kinds = [_KIND_OF[code] for code in codes]
    modes = [_MODE_OF[code] for code in codes]
    return tuple(map(Entry._make, zip(paths, kinds, modes, sizes, files, targets, strict=True)))


def _checked(entries: tuple[Entry, ...], limits: Limits) -> Manifest:
    if not 0 < len(entries) <= limits.files:
        raise InvalidInput(
            f"A release cannot have {len(entries)} files",
            why=f"1 to {limits.files} are allowed",
            next_step="Check that the right directory is packaged, and .turnoutignore.",
        )
    check_paths([entry.path for entry in entries], limits)
    links = {entry.path: entry.target for entry in entries if entry.kind == "link"}
    if links:
        check_links(links, limits)
    manifest = Manifest(entries)
    sizes = manifest.sizes
    total = 0
    for path, kind, mode, size, digest, target in entries:
        total += size
        if kind == "link":
            if size or digest or mode != 0o777:
                _refuse("a link in it has a size, a digest or a mode", path)
        elif size > limits.file_bytes:
            _exceeded(path, f"it has {size} bytes; {limits.file_bytes} are allowed")
        elif sizes[digest] != size or len(digest) != 64 or target or mode not in (0o644, 0o755):
            _refuse("two sizes are given for one digest, or a field has no legal value", path)
    if total > limits.total_bytes:
        _exceeded("", f"its files have {total} bytes; {limits.total_bytes} are allowed")
    return manifest


def _exceeded(path: str, why: str) -> None:
    raise InvalidInput(
        "A release is too large",
        subject=ascii(path)[1:-1][:300],
        why=why,
        next_step="Remove what is not needed, or name it in .turnoutignore.",
    )


def _refuse(why: str, path: str = "") -> None:
    raise InvalidInput("That is not a manifest", subject=ascii(path)[1:-1][:300], why=why)
