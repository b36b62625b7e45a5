"""Shifting: the traffic of hosts is split anew, and that is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.coordinator import routing
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job


async def shift(
    ctx: Context,
    job: Job,
    hosts: Sequence[str],
    weights: Mapping[str, int],
    split: Mapping[str, Any] | None,
    by: str = "turnout",
) -> dict[str, Any]:
    """Split the traffic of hosts, and return when new requests obey.

    Args:
        weights: Revision to percent.
        split: How clients are told apart, as in the plan; None: each request by itself.
        by: Who wanted it.
    """
    applied = await asyncio.gather(
        *(
            routing.reroute(
                ctx,
                job.project,
                job.environment,
                host,
                candidate=job,
                weights=weights,
                split=split,
            )
            for host in hosts
        )
    )

    def tell() -> None:
        ledger = ctx.ledger
        with ledger.database.transaction() as connection:
            row = ledger.row_in(connection, job.id)
            ledger.tell(
                connection, row, "traffic.shifted", hosts=list(hosts), weights=dict(weights), by=by
            )

    await asyncio.to_thread(tell)
    return dict(applied[0]) if applied else {}
