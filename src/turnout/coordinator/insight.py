"""What the coordinator tells of live traffic: evidence, series, metrics, and the logs of instances."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import turnout
from turnout.coordinator import evidence, logs, oflate
from turnout.coordinator.context import Context
from turnout.coordinator.exposing import Exposition
from turnout.coordinator.planning import existing_scope
from turnout.coordinator.reading import Reader
from turnout.monitoring import logsearch
from turnout.monitoring.fingerprints import ErrorGroup
from turnout.monitoring.logsearch import Found, Query
from turnout.wire.evidence import EvidenceDocument, ReplayDocument
from turnout.wire.rollout import AnalysisSpec
from turnout.wire.traffic import TrafficHistory


class Insight(Reader):
    """Answers questions about what was measured; changes nothing."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._exposition = Exposition(
            lambda: ctx.fleet.names, ctx.series, ctx.ledger.database, turnout.__version__
        )
        # One at a time: a day of evidence takes minutes, and the threads are everybody's.
        self._replaying = asyncio.Lock()

    async def traffic_history(
        self,
        project: str,
        environment: str,
        since: datetime,
        until: datetime | None = None,
        resolution: int | None = None,
    ) -> TrafficHistory:
        """Return what an environment's releases answered over a time, line by line.

        Args:
            until: The end; now if absent.
            resolution: Least seconds of one point; what suits the time if absent.

        Raises:
            NotFound: Nothing was ever deployed there.
            InvalidInput: The time or the resolution is none.
        """
        record = await existing_scope(self._ctx, project, environment)
        return await asyncio.to_thread(
            oflate.traffic_history,
            self._ctx.series,
            record.project,
            record.environment,
            since,
            until,
            resolution,
        )

    async def pulse(self, project: str, environment: str) -> Sequence[float]:
        """Return requests a second of the last five minutes, oldest first; empty if not known."""
        return await asyncio.to_thread(oflate.pulse, self._ctx.series, f"{project}/{environment}")

    async def evidence(self, deployment: str, points: int = 300) -> EvidenceDocument:
        """Return what a deployment saw and decided, as at most so many *points*.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: *points* is out of range.
        """
        return await evidence.evidence_of(self._ctx, deployment, points)

    async def replay(self, deployment: str, policy: AnalysisSpec) -> ReplayDocument:
        """Return what another policy would have said of what a deployment recorded.

        Raises:
            NotFound: There is none of that name.
            Impossible: It has judged nothing.
        """
        async with self._replaying:
            return await evidence.replay(self._ctx, deployment, policy)

    async def metrics_text(self, accept: str = "") -> tuple[bytes, str]:
        """Return everything that is counted for Prometheus, and its media type.

        Args:
            accept: What the reader would like, as its Accept header says.

        Raises:
            Failed: The database cannot be used.
        """
        return await self._exposition.render(accept)

    async def search_logs(self, query: Query) -> Found:
        """Return the newest lines of all instances on all hosts that a query asks for.

        Raises:
            InvalidInput: The pattern is none.
        """
        places = await asyncio.to_thread(logs.places, self._ctx, query)
        return await logsearch.search(places, query, partial(logs.read, self._ctx))

    async def log_errors(self, query: Query) -> tuple[tuple[ErrorGroup, ...], Found]:
        """Return the errors that a query's places wrote by fingerprint, and what was looked at.

        Raises:
            InvalidInput: The pattern is none.
        """
        places = await asyncio.to_thread(logs.places, self._ctx, query)
        return await logsearch.errors(places, query, partial(logs.read, self._ctx))
