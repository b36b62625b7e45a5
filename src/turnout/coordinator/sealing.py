"""Sealing a release for an environment, and bringing the package to a host."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.base.errors import Untrusted
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job
from turnout.coordinator.standing import next_version
from turnout.domain.phases import Kind
from turnout.domain.steps import Action
from turnout.wire import agent as wire

STAGE_DEADLINE_S = 3600.0


async def seal(ctx: Context, job: Job, _host: str, _args: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what the hosts lack under a fresh key, and sign the placement with a new version.

    A rollback goes to what the hosts keep for it, so nothing is sealed for it but the placement;
    a host that lost the release after all says so when it is staged.
    """
    if job.kind is Kind.ROLLBACK:
        return await _seal(ctx, job, [])
    return await _seal(ctx, job, await _lacking(ctx, job, job.intent.hosts or ctx.fleet.names))


async def stage(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> dict[str, Any]:
    """Send the package to a host, where it is verified and unpacked.

    The host is not asked again what it lacks: one that lost a release since the package was
    sealed refuses it, and only then is sealed anew.

    Raises:
        Untrusted: The host does not believe the package.
    """
    sealed = await asyncio.to_thread(_sealed, ctx, job)
    if sealed is not None and Path(sealed["package"]).exists():
        try:
            return await _send(ctx, job, host, Path(sealed["package"]))
        except Untrusted:
            lacking = await _lacking(ctx, job, [host])
            if _mark(lacking) == sealed["mark"]:
                raise
    else:
        lacking = await _lacking(ctx, job, [host])
    anew = await _seal(ctx, job, lacking)
    return await _send(ctx, job, host, Path(anew["package"]))


async def discard(ctx: Context, job: Job) -> None:
    """Remove the packages of a deployment; its placements stay signed but carry nothing."""

    def remove() -> None:
        for row in ctx.ledger.step_rows(job.id):
            for path in (row["result"] or {}).get("packages", ()):
                Path(path).unlink(missing_ok=True)

    await asyncio.to_thread(remove)


async def _lacking(ctx: Context, job: Job, hosts: Sequence[str]) -> list[str]:
    """Return the digests that any of *hosts* lacks, sorted."""
    manifest = await asyncio.to_thread(_manifest, ctx, job)
    answers = await asyncio.gather(
        *(
            ctx.fleet.call(host, lambda driver: driver.lacking(job.scope, manifest), 120.0)
            for host in hosts
        )
    )
    return sorted({digest for answer in answers for digest in answer})


async def _send(ctx: Context, job: Job, host: str, package: Path) -> dict[str, Any]:
    trust = wire.Trust(
        scope=job.scope,
        environment_key=base64.b64encode(ctx.keyring.environment_key(job.scope)).decode(),
        public_key=ctx.keyring.public_key,
    )
    staged = await ctx.fleet.call(
        host, lambda driver: driver.stage(trust, package), STAGE_DEADLINE_S
    )
    return {**staged.model_dump(mode="json"), "package": str(package)}


async def _seal(ctx: Context, job: Job, lacking: list[str]) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        with ctx.ledger.database.transaction() as connection:
            version = next_version(connection, job.project, job.environment)
        package = ctx.store.seal(job.project, job.revision.release, job.scope, version, lacking)
        return {
            "package": str(package.path),
            # Noted at once: an undo has to find it even if this step never comes to its end.
            "packages": ctx.ledger.note_package(job.id, str(package.path)),
            "version": version,
            "bytes": package.bytes,
            "files": len(lacking),
            "mark": _mark(lacking),
        }

    return await asyncio.to_thread(work)


def _sealed(ctx: Context, job: Job) -> dict[str, Any] | None:
    for row in ctx.ledger.step_rows(job.id):
        if row["action"] == Action.SEAL and row["status"] == "done":
            return dict(row["result"])
    return None


def _manifest(ctx: Context, job: Job) -> bytes:
    return ctx.store.manifest(job.project, job.revision.release).canonical


def _mark(digests: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
