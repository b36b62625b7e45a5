"""What ``doctor`` finds on the server and its hosts."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from turnout.base.errors import TurnoutError
from turnout.coordinator.context import Context
from turnout.coordinator.effects import SPARE_DISK_BYTES
from turnout.coordinator.tables import deployments
from turnout.domain.transitions import ENDED
from turnout.wire.agent import BinaryFact, HostFacts
from turnout.wire.api import CheckDocument


async def doctor(ctx: Context) -> list[CheckDocument]:
    """Look at the database, the queue and every host; return one finding for each."""
    found = [await asyncio.to_thread(_database, ctx)]
    for host in ctx.fleet.names:
        try:
            facts = await ctx.fleet.call(host, lambda driver: driver.facts(), 10.0)
        except TurnoutError as error:
            found.append(
                CheckDocument(
                    name=f"host {host}",
                    status="error",
                    detail=str(error),
                    next_step=error.next_step or "Restart 'turnout up' on that machine.",
                )
            )
            continue
        found += _host(facts)
    return found


def _database(ctx: Context) -> CheckDocument:
    query = (
        sa.select(sa.func.count())
        .select_from(deployments)
        .where(deployments.c.status.not_in([status.value for status in ENDED]))
    )
    try:
        with ctx.ledger.database.reading() as connection:
            open_ones = connection.execute(query).scalar_one()
    except TurnoutError as error:
        return CheckDocument(
            name="database", status="error", detail=str(error), next_step=error.next_step
        )
    return CheckDocument(
        name="database", status="ok", detail=f"answers; {open_ones} deployments under way"
    )


def _host(facts: HostFacts) -> list[CheckDocument]:
    disk = facts.disk_free_bytes >> 20
    return [
        CheckDocument(
            name=f"host {facts.host}", status="ok", detail=f"agent {facts.agent} answers"
        ),
        _alive(f"router on {facts.host}", facts.router_alive),
        _alive(f"static origin on {facts.host}", facts.origin_alive),
        CheckDocument(
            name=f"disk on {facts.host}",
            status="ok" if facts.disk_free_bytes >= SPARE_DISK_BYTES else "error",
            detail=f"{disk} MiB free",
            next_step="" if facts.disk_free_bytes >= SPARE_DISK_BYTES else "Free disk space.",
        ),
        *(_binary(facts.host, binary) for binary in facts.binaries),
    ]


def _binary(host: str, binary: BinaryFact) -> CheckDocument:
    return CheckDocument(
        name=f"{binary.name} on {host}",
        status="error" if binary.problem else "ok",
        detail=binary.problem or f"{binary.version}, {binary.reason}: {binary.path}",
        next_step=binary.next_step,
    )


def _alive(name: str, alive: bool) -> CheckDocument:
    return CheckDocument(
        name=name,
        status="ok" if alive else "error",
        detail="runs" if alive else "is down",
        next_step="" if alive else "The agent starts it again; its log says why it ended.",
    )
