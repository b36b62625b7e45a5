"""What Prometheus gets to read: the hosts' counters, and what the ledger knows of deployments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.coordinator.tables import deployments
from turnout.domain.transitions import ENDED
from turnout.monitoring import exposition
from turnout.monitoring.exposition import DeploymentKey, Facts
from turnout.monitoring.series import Series

_ENDED = [status.value for status in ENDED]
_OVERLAP = timedelta(minutes=5)
"""How far back is looked again: a server whose clock is late may have ended one meanwhile."""


class Exposition:
    """Counts the deployments that have ended, each once, and renders what is counted.

    Args:
        names: Returns the hosts of this moment.
        series: What was collected.
        database: Where the deployments are.
        version: The server's.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        series: Series,
        database: Database,
        version: str,
    ) -> None:
        self._names = names
        self._series = series
        self._database = database
        self._version = version
        self._ended: dict[DeploymentKey, list[float]] = {}
        self._newest: datetime | None = None
        self._counted: dict[str, datetime] = {}
        """Those that ended within the overlap."""
        self._turn = asyncio.Lock()

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its media type, as an Accept header would like it.

        Raises:
            Failed: The database cannot be used.
        """
        async with self._turn:
            return await asyncio.to_thread(self._render, accept)

    def _render(self, accept: str) -> tuple[bytes, str]:
        facts = Facts(self._ended, self._count(), self._version)
        now = clock.now().timestamp()
        return exposition.render(self._names(), self._series.latest(), facts, now, accept)

    def _count(self) -> dict[str, int]:
        """Add the deployments that have ended since the last look; return the open ones."""
        table = deployments.c
        ended = sa.select(
            table.id, table.project, table.environment, table.kind, table.strategy, table.status,
            table.created_at, table.started_at, table.finished_at,
        ).where(table.status.in_(_ENDED))  # fmt: skip
        if self._newest is not None:
            ended = ended.where(table.finished_at >= self._newest - _OVERLAP)
        opened = (
            sa.select(table.status, sa.func.count())
            .where(table.status.not_in(_ENDED))
            .group_by(table.status)
        )
        with self._database.reading() as connection:
            found = connection.execute(ended).all()
            counts = {row[0]: row[1] for row in connection.execute(opened)}
        for row in found:
            if row.id not in self._counted:
                self._add(row)
        if self._newest is not None:
            edge = self._newest - _OVERLAP
            self._counted = {id: at for id, at in self._counted.items() if at >= edge}
        return counts

    def _add(self, row: Any) -> None:
        key = DeploymentKey(row.project, row.environment, row.kind, row.strategy, row.status)
        began = row.started_at or row.created_at
        finished = row.finished_at or began
        self._ended.setdefault(key, []).append(max(0.0, (finished - began).total_seconds()))
        self._counted[row.id] = finished
        self._newest = finished if self._newest is None else max(self._newest, finished)
