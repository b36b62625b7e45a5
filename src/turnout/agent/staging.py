"""Staging: a package arrives as a stream and becomes a release that is held here.

The body goes through a short queue to one thread that verifies and unpacks it, so it is never
whole in memory and the agent goes on answering.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from pydantic import ValidationError

from turnout.agent import records
from turnout.agent.inlet import Inlet
from turnout.agent.paths import Layout, checked, scopes
from turnout.agent.trees import Trees
from turnout.base.errors import InvalidInput
from turnout.base.failpoints import reached
from turnout.base.ids import RELEASE
from turnout.packages import manifest
from turnout.packages.hosting import HostReleases, Received
from turnout.packages.package import PackageReader
from turnout.wire import agent as wire

PREAMBLE_LIMIT = 16 << 10
"""Bytes of the first line, which holds the trust."""
_CHUNK = 256 << 10

Result = TypeVar("Result")
STALLED = 60.0
"""Seconds without a byte after which a sender is given up."""
PATIENCE = 10.0
"""Seconds that what is left of a refused package is read."""
UNDER_WAY = 8
"""Packages that are unpacked at once; further ones wait without being read."""


class Staging:
    """How releases come to this host, and which scopes have a claim on them."""

    def __init__(self, layout: Layout, releases: HostReleases, trees: Trees) -> None:
        self._layout = layout
        self._releases = releases
        self._trees = trees
        self._threads = ThreadPoolExecutor(UNDER_WAY, "stage")

    async def lacking(self, canonical: bytes) -> wire.Lacking:
        """Return the digests of a manifest that no release here holds."""

        def look() -> list[str]:
            return self._releases.missing(manifest.parse(canonical))

        async with self._trees.busy():
            return wire.Lacking(digests=tuple(await asyncio.to_thread(look)))

    async def stage(self, body: AsyncIterator[bytes]) -> wire.Staged:
        """Receive a package: one line of :class:`~turnout.wire.agent.Trust`, then its bytes.

        Raises:
            InvalidInput: The first line is no trust.
            Untrusted: The package is not what was signed.
            Exhausted: The disk is full; nothing is left of it.
        """
        await reached("agent.stage.before")
        async with aclosing(_Body(body)) as source, self._trees.busy():
            trust = await source.trust()
            received = await self._receive(source, trust)
            claim = self._layout.claims / checked(trust.scope) / received.release
            claim.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            claim.touch(mode=0o600)
        await reached("agent.stage.after")
        return wire.Staged(
            release=received.release,
            files=received.files,
            bytes=received.bytes,
            reused_files=received.reused_files,
            received_bytes=received.received_bytes,
        )

    def claims(self, scope: str) -> set[str]:
        """Return the releases that *scope* was sent and did not prune."""
        directory = self._layout.claims / checked(scope)
        return {p.name for p in records.entries(directory) if RELEASE.fullmatch(p.name)}

    def claimed(self) -> set[str]:
        """Return the releases that any scope has a claim on."""
        return {release for scope in scopes(self._layout.claims) for release in self.claims(scope)}

    def disclaim(self, scope: str, keep: set[str]) -> None:
        """Drop the claims of *scope* on all but *keep*."""
        for release in self.claims(scope) - keep:
            records.remove(self._layout.claims / checked(scope) / release)

    async def _receive(self, source: _Body, trust: wire.Trust) -> Received:
        inlet = Inlet("agent.stage.inside")
        key = _environment_key(trust)
        feeding = asyncio.create_task(_feed(source, inlet))
        try:
            release = await self._in_thread(inlet, _release_of, inlet, key, trust)
            # Two environments may be sent the same release at once: one after the other.
            async with self._trees.uses.replacing(release):
                receive = self._releases.receive
                arguments = (inlet, key, trust.public_key, trust.scope, release)
                return await self._in_thread(inlet, receive, *arguments)
        finally:
            inlet.close()
            # It reads on for a while, so that a sender that still writes gets to hear the
            # answer instead of a reset connection.
            await asyncio.wait([feeding], timeout=PATIENCE)
            feeding.cancel()

    async def _in_thread(
        self, inlet: Inlet, call: Callable[..., Result], *arguments: object
    ) -> Result:
        """Return what *call* returns; when cancelled, wait until the thread has left off too."""
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._threads, call, *arguments)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            inlet.abort()
            await asyncio.wait([job])
            raise


def _release_of(inlet: Inlet, key: bytes, trust: wire.Trust) -> str:
    """Return the release that the signed placement at the head of a package names."""
    release = PackageReader(inlet, key, trust.public_key).placement.release
    inlet.rewind()
    return release


async def _feed(source: _Body, inlet: Inlet) -> None:
    """Pass the body on to the thread; what nobody reads any more is read and forgotten."""
    try:
        async for chunk in source.chunks():
            await inlet.feed(chunk)
        await inlet.feed(b"")
    except BaseException:
        inlet.abort()
        raise


class _Body:
    """A request body: the trust in its first line, the package in the rest."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._rest = b""

    async def trust(self) -> wire.Trust:
        line = b""
        async for chunk in self._body:
            line += chunk
            if b"\n" in line or len(line) > PREAMBLE_LIMIT:
                break
        line, newline, self._rest = line.partition(b"\n")
        try:
            if not newline or len(line) > PREAMBLE_LIMIT:
                raise ValueError("no first line")
            return wire.Trust.model_validate_json(line)
        except (ValidationError, ValueError):
            # Said without the cause: it could quote the key.
            raise InvalidInput(
                "The package does not begin with a line of trust",
                next_step="Send the Trust message as JSON, a newline, then the package.",
            ) from None

    async def chunks(self) -> AsyncIterator[bytes]:
        pieces, size = [self._rest], len(self._rest)
        body = aiter(self._body)
        while True:
            # A sender that stalls must not hold what it uses for ever.
            async with asyncio.timeout(STALLED):
                chunk = await anext(body, None)
            if chunk is None:
                break
            pieces.append(chunk)
            size += len(chunk)
            if size >= _CHUNK:
                yield b"".join(pieces)
                pieces, size = [], 0
        if size:
            yield b"".join(pieces)

    async def aclose(self) -> None:
        """Read and forget what is left for a while, so that a sender that still writes gets to
        hear the answer instead of a reset connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                async for _ in self._body:
                    pass
        except Exception:  # noqa: S110 - the sender is gone, or too slow to hear anything
            pass


def _environment_key(trust: wire.Trust) -> bytes:
    try:
        key = base64.b64decode(trust.environment_key, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise InvalidInput("The environment key is not 32 bytes in base 64", subject=trust.scope)
    return key
