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
from collections.abc import Iterable, Sequence
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
LINK = 2
"""The code of a link."""


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


class Columns(NamedTuple):
    """The same by column, as in the canonical bytes.

    Attributes:
        codes: One byte an entry: 0 file 0644, 1 file 0755, 2 link.
        sizes: One an entry.
        digests: One a file.
        paths: One an entry.
        targets: One a link.
    """

    codes: bytes
    sizes: Sequence[int]
    digests: list[str]
    paths: list[str]
    targets: list[str]


class Manifest:
    """The entries of a release, in the order of their paths' bytes; see :func:`manifest_of`.

    Args:
        entries: Or nothing, if *columns* are given.
        columns: Entries are made of them when somebody asks.
    """

    def __init__(
        self, entries: tuple[Entry, ...] | None = None, columns: Columns | None = None
    ) -> None:
        if entries is not None:
            self.__dict__["entries"] = entries
        if columns is not None:
            self.__dict__["columns"] = columns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return _entries_of(self.columns)

    @cached_property
    def columns(self) -> Columns:
        """The entries by column."""
        return _columns_of(self.entries)

    @property
    def files(self) -> int:
        return len(self.columns.codes) - self.columns.codes.count(LINK)

    @property
    def bytes(self) -> int:
        return sum(self.columns.sizes)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Digest to size, for every file."""
        return dict(zip(self.columns.digests, _file_sizes(self.columns), strict=True))

    @cached_property
    def canonical(self) -> builtins.bytes:
        """The bytes that the release is known by."""
        return _encode(self.columns)

    @cached_property
    def release(self) -> str:
        """The release: SHA-256 of the canonical bytes, in hexadecimal."""
        return hashlib.sha256(self.canonical).hexdigest()


def manifest_of(entries: Iterable[Entry], limits: Limits = DEFAULT) -> Manifest:
    """Return the manifest of *entries*, which may come in any order.

    Raises:
        InvalidInput: An entry is not allowed, or there are too many.
    """
    # Code points and bytes of UTF-8 sort alike.
    ordered = tuple(sorted(entries))
    for path, kind, mode, size, digest, target in ordered:
        if kind == "link":
            if size or digest or mode != 0o777:
                _refuse("a link in it has a size, a digest or a mode", path)
        elif len(digest) != 64 or target or mode not in (0o644, 0o755):
            _refuse("a field has no legal value", path)
    return checked(Manifest(ordered), limits)


def parse(data: bytes, limits: Limits = DEFAULT) -> Manifest:
    """Return the manifest in *data*, which may be hostile.

    Raises:
        InvalidInput: It is not a manifest in canonical form, or describes a release that is
            not allowed.
    """
    if len(data) > limits.manifest_bytes:
        raise InvalidInput("A manifest is too long", why=f"over {limits.manifest_bytes} bytes")
    manifest = checked(Manifest(columns=_decode(data, limits)), limits)
    # The checks leave one form only; what was parsed is therefore what will be signed.
    manifest.__dict__["canonical"] = bytes(data)
    return manifest


def recall(data: bytes, limits: Limits = DEFAULT) -> Manifest:
    """Return the manifest in *data*, which :func:`parse` accepted before it was sealed.

    Raises:
        InvalidInput: It is damaged.
    """
    manifest = Manifest(columns=_decode(data, limits))
    manifest.__dict__["canonical"] = bytes(data)
    return manifest


def checked(manifest: Manifest, limits: Limits = DEFAULT) -> Manifest:
    """Return *manifest* if what its columns say is allowed.

    Raises:
        InvalidInput: It is not, or they are not in the order of their paths' bytes.
    """
    columns = manifest.columns
    count = len(columns.codes)
    if not 0 < count <= limits.files:
        raise InvalidInput(
            f"A release cannot have {count} files",
            why=f"1 to {limits.files} are allowed",
            next_step="Check that the right directory is packaged, and .turnoutignore.",
        )
    check_paths(columns.paths, limits)
    if columns.targets:
        links = [at for at, code in enumerate(columns.codes) if code == LINK]
        if any(columns.sizes[at] for at in links):
            _refuse("a link in it has a size")
        check_links(
            {columns.paths[at]: to for at, to in zip(links, columns.targets, strict=True)}, limits
        )
    if max(columns.sizes) > limits.file_bytes:
        at = max(range(count), key=columns.sizes.__getitem__)
        _exceeded(
            columns.paths[at],
            f"it has {columns.sizes[at]} bytes; {limits.file_bytes} are allowed",
        )
    if tuple(map(manifest.sizes.get, columns.digests)) != tuple(_file_sizes(columns)):
        _refuse("two sizes are given for one digest")
    total = manifest.bytes
    if total > limits.total_bytes:
        _exceeded("", f"its files have {total} bytes; {limits.total_bytes} are allowed")
    return manifest


def _columns_of(entries: tuple[Entry, ...]) -> Columns:
    return Columns(
        bytes(LINK if e.kind == "link" else 1 if e.mode == 0o755 else 0 for e in entries),
        [entry.size for entry in entries],
        [entry.digest for entry in entries if entry.kind == "file"],
        [entry.path for entry in entries],
        [entry.target for entry in entries if entry.kind == "link"],
    )


def _entries_of(columns: Columns) -> tuple[Entry, ...]:
    codes, sizes, digests, paths, targets = columns
    if targets:
        next_digest, next_target = iter(digests), iter(targets)
        digests = ["" if code == LINK else next(next_digest) for code in codes]
        targets = [next(next_target) if code == LINK else "" for code in codes]
    else:
        targets = [""] * len(codes)
    kinds = [_KIND_OF[code] for code in codes]
    modes = [_MODE_OF[code] for code in codes]
    return tuple(map(Entry._make, zip(paths, kinds, modes, sizes, digests, targets, strict=True)))


def _file_sizes(columns: Columns) -> Sequence[int]:
    if not columns.targets:
        return columns.sizes
    return [s for code, s in zip(columns.codes, columns.sizes, strict=True) if code != LINK]


def _encode(columns: Columns) -> bytes:
    count = len(columns.codes)
    paths = "\0".join(columns.paths).encode()
    targets = "\0".join(columns.targets).encode()
    return b"".join(
        (
            MAGIC,
            _HEAD.pack(count, len(paths), len(targets)),
            columns.codes,
            struct.pack(f"<{count}Q", *columns.sizes),
            bytes.fromhex("".join(columns.digests)),
            paths,
            targets,
        )
    )


def _decode(data: bytes, limits: Limits) -> Columns:
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
    digests = [hexes[at : at + width] for at in range(0, len(hexes), width)]
    return Columns(codes, sizes, digests, paths, targets)


def _exceeded(path: str, why: str) -> None:
    raise InvalidInput(
        "A release is too large",
        subject=ascii(path)[1:-1][:300],
        why=why,
        next_step="Remove what is not needed, or name it in .turnoutignore.",
    )


def _refuse(why: str, path: str = "") -> None:
    raise InvalidInput("That is not a manifest", subject=ascii(path)[1:-1][:300], why=why)
