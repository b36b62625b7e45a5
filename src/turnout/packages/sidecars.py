"""Sidecars: what stands beside one served file, made once and never changed after.

FILE.turnout-etag       a strong ETag from the content, for hard links share their times
FILE.br  FILE.gz        compressed, where that is worth it and the project has none itself
FILE.br.turnout-made    their ETags; a strong one must differ from encoding to encoding
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from pathlib import Path

import brotli

from turnout.packages.assets import ENCODINGS, ETAG_SUFFIX, VARIANT_SUFFIX, etag
from turnout.packages.disk import link_over, temporary_name

COMPRESSIBLE = frozenset(
    {
        "atom",
        "cjs",
        "css",
        "csv",
        "eot",
        "geojson",
        "gltf",
        "htm",
        "html",
        "ico",
        "js",
        "json",
        "jsonld",
        "map",
        "md",
        "mjs",
        "otf",
        "rss",
        "svg",
        "tsv",
        "ttf",
        "txt",
        "vtt",
        "wasm",
        "webmanifest",
        "xhtml",
        "xml",
        "yaml",
        "yml",
    }
)
"""Endings of types that are not compressed already."""

SMALLEST = 1024
"""Bytes; a smaller file fits into one packet anyway."""

LARGEST = 64 << 20
"""Bytes; a larger file would be held in memory twice."""

_WORTH = 0.95


def dress_file(
    file: Path, previous: Path | None, digest: str | None, beside: Path | None = None
) -> tuple[int, int]:
    """Write the variants of one file.

    Args:
        file: A regular file.
        previous: The same file in a root that was dressed before, if there is one; a variant
            of equal content is linked from there.
        digest: SHA-256 in hexadecimal; None if not known.
        beside: Where the variants go, as if the file stood there; None for beside it.

    Returns:
        How many variants were made, and how many were linked.
    """
    place = beside or file
    if digest is None:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    _write(Path(f"{place}{ETAG_SUFFIX}"), etag(digest).encode())
    size = file.stat().st_size
    ending = file.suffix[1:].lower()
    if ending not in COMPRESSIBLE or not SMALLEST <= size <= LARGEST:
        return 0, 0
    written = reused = 0
    content = b""
    for encoding, suffix in ENCODINGS.items():
        target = Path(f"{place}{suffix}")
        tag = etag(digest, encoding)
        if target.exists() and not _is_stale(target, tag):
            continue
        if previous is not None and _take_over(Path(f"{previous}{suffix}"), target, tag):
            reused += 1
            continue
        content = content or file.read_bytes()
        packed = _compress(content, encoding)
        if len(packed) <= _WORTH * len(content):
            # The ETag first: by it the next call knows that the variant is ours.
            _write(Path(f"{target}{VARIANT_SUFFIX}"), tag.encode())
            _write(target, packed)
            written += 1
    return written, reused


def _compress(content: bytes, encoding: str) -> bytes:
    if encoding == "br":
        packed: bytes = brotli.compress(content, quality=quality_of(len(content)))
        return packed
    return gzip.compress(content, compresslevel=6, mtime=0)


def _is_stale(variant: Path, tag: str) -> bool:
    """Return whether *variant* is one of ours, and of another content than *tag* says."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"{variant}{VARIANT_SUFFIX}").read_text("ascii", "replace") != tag
    return False


def _take_over(source: Path, target: Path, tag: str) -> bool:
    """Link a variant of the previous root, if it is of the same content and ours."""
    try:
        if Path(f"{source}{VARIANT_SUFFIX}").read_bytes() != tag.encode():
            return False
        source.stat()
        _write(Path(f"{target}{VARIANT_SUFFIX}"), tag.encode())
        link_over(source, target)
    except FileNotFoundError:
        return False
    return True


def is_ours(root: Path, path: str, own: set[str]) -> bool:
    """Return whether *path* is a variant that an earlier call made, and no file of the project."""
    return any(
        path.endswith(suffix)
        and path.removesuffix(suffix) in own
        and (root / f"{path}{VARIANT_SUFFIX}").exists()
        for suffix in ENCODINGS.values()
    )


def quality_of(size: int) -> int:
    """Return brotli's quality for a file: 9 up to 256 KiB, then 7, and 5 above 2 MiB.

    Measured on a bundle of 1.4 MB: 9 makes 2 % less than 5 and takes three times as long, which
    matters with large files only.
    """
    return 9 if size <= 256 << 10 else 7 if size <= 2 << 20 else 5


def _write(path: Path, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    temporary = temporary_name(path.parent)
    temporary.write_bytes(content)
    temporary.chmod(0o644)
    temporary.replace(path)
