"""Packages a directory and brings what the server lacks to it, in a few streams at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from turnout.base.errors import Failed, NotFound
from turnout.cli.client import MANIFEST_TYPE, SEGMENT_TYPE, Client, understood
from turnout.packages.building import build
from turnout.packages.scan import Scan, scan
from turnout.wire.api import UploadOpened

if TYPE_CHECKING:
    from turnout.packages.segments import Segment

STREAMS = 3
"""Segments on their way at one time; with the few that are being packed they bound the memory."""

_ROUNDS = 3
"""How often an upload is opened anew when the server has dropped a part of it meanwhile."""

Show = Callable[[int, int, int], None]
"""Told the bytes of content sent, those to send, and those that were there already."""


@dataclass(frozen=True)
class Uploaded:
    """A release that the server holds whole.

    Attributes:
        release: Its identifier.
        uploaded_bytes: Bytes that travelled, packed.
        reused_bytes: Bytes of content that the server had already.
    """

    release: str
    uploaded_bytes: int
    reused_bytes: int


def package(directory: Path, show: Callable[[int, int], None]) -> Scan:
    """Return what *directory* holds, remembering digests for the next time.

    Args:
        directory: What becomes a release.
        show: Told the files read so far and those to read.

    Raises:
        InvalidInput: Something in it cannot be part of a release.
    """
    return scan(directory, progress=show, cache=_cache_of(directory))


def upload(client: Client, project: str, scanned: Scan, message: str, show: Show) -> Uploaded:
    """Make the server hold the release in *scanned*; what it has is not sent again.

    Raises:
        TurnoutError: A file changed meanwhile, or the server refuses or does not answer.
    """
    sent = 0
    for last in (*[False] * (_ROUNDS - 1), True):
        opened = _open(client, project, scanned)
        missing = sum(scanned.manifest.sizes.get(digest, 0) for digest in opened.missing)
        reused = scanned.manifest.bytes - missing
        if opened.complete:
            show(0, 0, reused)
            return Uploaded(opened.release, sent, reused)
        place = f"/projects/{project}/uploads/{opened.release}"
        try:
            sent += _send(client, place, scanned, opened, partial(_show, show, missing, reused))
            query = "?" + urlencode({"message": message}) if message else ""
            client.post_bytes(f"{place}/commit{query}", b"", "application/json")
        except NotFound:
            if last:
                raise
            continue  # the server dropped the unfinished upload: begin again with what is left
        return Uploaded(opened.release, sent, reused)
    raise AssertionError("the last round returns or raises")


def _open(client: Client, project: str, scanned: Scan) -> UploadOpened:
    path = f"/projects/{project}/uploads"
    answer = client.post_bytes(path, scanned.manifest.canonical, MANIFEST_TYPE)
    opened = understood(UploadOpened, answer)
    if opened.release != scanned.manifest.release:
        raise Failed(
            "The server understands this release as another one",
            subject=scanned.manifest.release,
            why=f"it says {opened.release}",
            next_step="Compare the versions of client and server.",
        )
    return opened


def _send(
    client: Client,
    place: str,
    scanned: Scan,
    opened: UploadOpened,
    show: Callable[[int], None],
) -> int:
    """Send the missing segments and return the bytes that travelled."""
    packed = done = 0
    under_way: dict[Future[int], int] = {}

    def send(segment: Segment) -> int:
        data = segment.encode()
        client.post_bytes(f"{place}/segments", data, SEGMENT_TYPE)
        return len(data)

    def settle(least: int) -> None:
        nonlocal packed, done
        while len(under_way) > least:
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                done += under_way.pop(future)
                packed += future.result()
                show(done)

    show(0)
    pool = ThreadPoolExecutor(STREAMS, thread_name_prefix="upload")
    try:
        for segment in build(scanned, opened.missing, opened.held_parts):
            under_way[pool.submit(send, segment)] = segment.plain_bytes
            settle(STREAMS - 1)
        settle(0)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return packed


def _show(show: Show, missing: int, reused: int, done: int) -> None:
    show(done, missing, reused)


def _cache_of(directory: Path) -> Path | None:
    """Return where digests of *directory* are remembered, outside of it; None if that fails."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:32]
    cache = root / "turnout" / "scans" / f"{name}.json"
    try:
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None  # a read-only home costs time, not the deployment
    return cache
