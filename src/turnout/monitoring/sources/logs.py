"""A metric from the application's own log: how many lines a second match a pattern."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from turnout.base import clock
from turnout.base.errors import InvalidInput, TurnoutError
from turnout.monitoring.patterns import Pattern, compiled
from turnout.monitoring.sources.port import Measurement, Source, Target
from turnout.wire.agent import LogLine
from turnout.wire.rollout import MetricSpec

Reader = Callable[[str], Awaitable[tuple[Sequence[LogLine], str]]]
"""Reads on behind a cursor, which is empty for the log's present end: ``lines, cursor``."""

_MOST_PAGES = 50
"""Pages of one look; an application that writes more than that is judged by them."""


class LogSource(Source):
    """Counts the lines that match ``query`` during ``interval`` seconds.

    Args:
        spec: The metric.
        target: What it measures.
        reader: Reads the lines.
    """

    def __init__(self, spec: MetricSpec, target: Target, reader: Reader) -> None:
        super().__init__(spec, target)
        self._reader = reader

    async def run(self, id: str) -> Measurement:
        """Note where the log ends now; what comes from here on is counted."""
        begun = self._begin(id)
        try:
            self._pattern()
            async with asyncio.timeout(self.spec.timeout):
                _, cursor = await self._reader("")
        except (TurnoutError, TimeoutError, OSError) as error:
            return self._not_read(begun, error)
        return replace(
            begun,
            resume_at=begun.started_at + self.spec.interval,
            memory={"cursor": cursor, "lines": 0, "matches": 0},
        )

    async def resume(self, measurement: Measurement) -> Measurement:
        """Count what was written since; done when the interval is over."""
        now = clock.now().timestamp()
        if measurement.state == "done" or now < (measurement.resume_at or now):
            return measurement
        memory = measurement.memory
        cursor, seen, matches = memory["cursor"], memory["lines"], memory["matches"]
        try:
            pattern = self._pattern()
            async with asyncio.timeout(self.spec.timeout):
                for _ in range(_MOST_PAGES):
                    lines, cursor = await self._reader(cursor)
                    if not lines:
                        break
                    seen += len(lines)
                    matches += sum(pattern.matches(line.text) for line in lines)
        except (TurnoutError, TimeoutError, OSError) as error:
            return self._not_read(measurement, error)
        seconds = max(now - measurement.started_at, 1e-3)
        valued = self._valued(measurement, matches / seconds)
        return replace(
            valued,
            reason=f"{matches} of {seen} lines in {seconds:.0f} s match: {valued.reason} a second",
        )

    def _pattern(self) -> Pattern:
        return compiled(self.target.fill(self.spec.query or ""))

    def _not_read(self, measurement: Measurement, error: Exception) -> Measurement:
        if isinstance(error, InvalidInput):
            return self._done(measurement, "unavailable", str(error))
        why = str(error) or "it took too long"
        return self._done(measurement, "unavailable", f"the logs cannot be read: {why}")
