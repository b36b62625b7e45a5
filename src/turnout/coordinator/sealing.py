"""Sealing a release for an environment, and bringing the package to a host."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.coordinator.context import Context
from turnout.coordinator.job import Job
from turnout.coordinator.standing import next_version
from turnout.domain.steps import Action
from turnout.wire import agent as wire

STAGE_DEADLINE_S = 3600.0


async def seal(ctx: Context, job: Job, _host: str, _args: Mapping[str, Any]) -> dict[str, Any]:
    """Seal what the hosts lack under a fresh key, and sign the placement with a new version."""
    hosts = job.intent.hosts or ctx.fleet.names
    manifest = await asyncio.to_thread(_manifest, ctx, job)
    answers = await asyncio.gather(
        *(
            ctx.fleet.call(host, lambda driver: driver.lacking(job.scope, manifest), 120.0)
            for host in hosts
        )
    )
    lacking = sorted({digest for answer in answers for digest in answer})
    return await _seal(ctx, job, lacking)


async def stage(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> dict[str, Any]:
    """Send the package to a host, where it is verified and unpacked."""
    sealed = await asyncio.to_thread(_sealed, ctx, job)
    manifest = await asyncio.to_thread(_manifest, ctx, job)
    lacking = await ctx.fleet.call(host, lambda driver: driver.lacking(job.scope, manifest), 120.0)
    path = Path(sealed["package"]) if sealed else None
    if sealed is None or path is None or not path.exists() or _mark(lacking) != sealed["mark"]:
        # The package is gone or the host lost a release since it was sealed: seal anew.
        sealed = await _seal(ctx, job, sorted(lacking))
        path = Path(sealed["package"])
    trust = wire.Trust(
        scope=job.scope,
        environment_key=base64.b64encode(ctx.keyring.environment_key(job.scope)).decode(),
        public_key=ctx.keyring.public_key,
    )
    package = path
    staged = await ctx.fleet.call(
        host, lambda driver: driver.stage(trust, package), STAGE_DEADLINE_S
    )
    return {**staged.model_dump(mode="json"), "package": str(path)}


async def discard(ctx: Context, job: Job) -> None:
    """Remove the packages of a deployment; its placements stay signed but carry nothing."""

    def remove() -> None:
        for row in ctx.ledger.step_rows(job.id):
            for path in (row["result"] or {}).get("packages", ()):
                Path(path).unlink(missing_ok=True)

    await asyncio.to_thread(remove)


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


def _mark(digests: list[str] | tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
