"""A metric that a command of the project measures: its last line is the value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.monitoring.sources.port import Measurement, Source, Target
from turnout.wire.agent import CommandResult
from turnout.wire.rollout import MetricSpec

Runner = Callable[[str, tuple[str, ...], float], Awaitable[CommandResult]]
"""Runs a command under an identifier: ``runner(id, command, timeout)``.

Asked again under the same one, it waits for that run or tells its result again."""

_LOOK_AGAIN_S = 1.0
_GRACE_S = 5.0
"""What the host may take beyond the command's own time to tell of its end."""


class CommandSource(Source):
    """Runs ``command`` and goes on meanwhile.

    Args:
        spec: The metric.
        target: What it measures.
        runner: Runs it.
    """

    def __init__(self, spec: MetricSpec, target: Target, runner: Runner) -> None:
        super().__init__(spec, target)
        self._runner = runner
        self._tasks: dict[str, asyncio.Task[CommandResult]] = {}

    async def run(self, id: str) -> Measurement:
        """Start it; the measurement runs until it ends."""
        return await self.resume(self._begin(id))

    async def resume(self, measurement: Measurement) -> Measurement:
        """Return its value if it has ended.

        A server that has started anew in between asks the runner under the same identifier.
        """
        if measurement.state == "done":
            return measurement
        task = self._tasks.get(measurement.id)
        if task is None:
            task = self._tasks[measurement.id] = asyncio.ensure_future(self._run(measurement.id))
        # A moment, so that a command that takes none is done at once.
        await asyncio.wait([task], timeout=0.05)
        if not task.done():
            later = clock.now().timestamp() + min(_LOOK_AGAIN_S, self.spec.interval)
            return replace(measurement, resume_at=later)
        del self._tasks[measurement.id]
        return self._ended(measurement, task)

    async def terminate(self, measurement: Measurement) -> Measurement:
        """Wait no longer for it; the host ends it when its time is over."""
        await self._cancel(measurement.id)
        return await super().terminate(measurement)

    async def collect(self, kept: Sequence[Measurement]) -> None:
        """Wait no longer for runs that no measurement of *kept* belongs to."""
        for id in set(self._tasks) - {one.id for one in kept}:
            await self._cancel(id)

    async def _run(self, id: str) -> CommandResult:
        command = tuple(self.target.fill(part) for part in self.spec.command or ())
        async with asyncio.timeout(self.spec.timeout + _GRACE_S):
            return await self._runner(id, command, self.spec.timeout)

    async def _cancel(self, id: str) -> None:
        task = self._tasks.pop(id, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, measurement: Measurement, task: asyncio.Task[CommandResult]) -> Measurement:
        try:
            result = task.result()
        except TimeoutError:
            return self._done(measurement, "unavailable", "the host did not answer in time")
        except (TurnoutError, OSError) as error:
            return self._done(measurement, "unavailable", f"it could not be run: {error}")
        if result.timed_out:
            return self._done(
                measurement, "unavailable", f"it did not end within {self.spec.timeout:g} s"
            )
        if result.exit_code != 0:
            return self._done(
                measurement, "unavailable", f"it ended with exit code {result.exit_code}"
            )
        lines = [line.strip() for line in result.tail if line.strip()]
        if not lines:
            return self._done(measurement, "unknown", "it wrote no value")
        try:
            return self._valued(measurement, float(lines[-1]))
        except ValueError:
            return self._done(measurement, "unavailable", "its last line is no number")
