"""Meters: the measures of a hold that come from elsewhere than the router."""

from __future__ import annotations

import asyncio
from typing import Any

from turnout.base import clock
from turnout.coordinator import commanding, readers
from turnout.coordinator.looks import Desk
from turnout.monitoring import sources
from turnout.monitoring.sources import Measurement, Source, Target
from turnout.wire.rollout import MetricSpec


class Meters:
    """Runs every metric of a deployment at its interval, beside the seconds of the router.

    Args:
        desk: Whose hold.
        state: What the hold keeps between its looks; measurements under way are kept in it.
    """

    def __init__(self, desk: Desk, state: dict[str, Any]) -> None:
        self._desk = desk
        self._state = state
        judged = desk.args.get("judge", True)
        self._specs = desk.job.intent.rollout.analysis.metrics if judged else ()
        self._tasks: dict[str, asyncio.Task[Measurement]] = {}
        self._sources = {spec.name: self._source(spec) for spec in self._specs}
        self._last: dict[str, float | None] = {}

    async def read(self) -> dict[str, float | None]:
        """Return what was measured since the last call.

        Returns:
            Metric to value; None for one that was not to be had.
        """
        self._last = {}
        for spec in self._specs:
            task = self._tasks.get(spec.name)
            if task is None:
                if clock.now().timestamp() >= self._due(spec):
                    self._tasks[spec.name] = asyncio.create_task(self._measure(spec))
            elif task.done():
                del self._tasks[spec.name]
                measured = task.result()
                if measured.state == "done":
                    self._last[spec.name] = measured.value
        return self._last

    def point(self) -> dict[str, Any]:
        """Return what the record of a second holds of them."""
        return {"m": self._last} if self._last else {}

    async def close(self) -> None:
        """End what is being asked; what runs elsewhere is resumed by the next look."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for source in self._sources.values():
            await source.collect(())

    def _due(self, spec: MetricSpec) -> float:
        kept = self._state.setdefault("meters", {}).get(spec.name)
        if kept is None:
            return 0.0
        if kept["measurement"]["state"] == "running":
            return float(kept["measurement"]["resume_at"] or 0.0)
        return float(kept["measurement"]["started_at"]) + spec.interval

    async def _measure(self, spec: MetricSpec) -> Measurement:
        source = self._sources[spec.name]
        kept = self._state["meters"].get(spec.name)
        count = kept["count"] if kept else 0
        if kept and kept["measurement"]["state"] == "running":
            found = await source.resume(Measurement.from_json(kept["measurement"]))
        else:
            count += 1
            # By its place, for a metric's name may be longer than a host takes.
            place = f"{self._desk.position}-{self._specs.index(spec)}"
            found = await source.run(f"{self._desk.job.id}-{place}-{count}")
        self._state["meters"][spec.name] = {"count": count, "measurement": found.to_json()}
        return found

    def _source(self, spec: MetricSpec) -> Source:
        job = self._desk.job
        target = Target(
            project=job.project,
            environment=job.environment,
            release=job.revision.release,
            revision=job.revision.revision,
            deployment=job.id,
        )
        return sources.make(
            spec,
            target,
            runner=commanding.runner(self._desk),
            reader=readers.of_revision(self._desk.ctx, job.scope, job.revision.revision),
        )
