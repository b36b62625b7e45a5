"""Readiness: when a revision is healthy, and how soon it is known that it never will be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from turnout.agent import probes
from turnout.agent.instance import Instance
from turnout.agent.places import Place
from turnout.agent.probes import Answer, Question
from turnout.wire import agent as wire
from turnout.wire.project import HealthSpec

FAST = 0.1
"""Seconds between questions until the first good answer."""
CRASHES = 3
"""Exits in a row, each soon after its start, that are called a crash loop."""


@dataclass(frozen=True)
class Watched:
    """One place that must become healthy.

    Attributes:
        place: Where it answers.
        instance: Reads what is known of its process now; None for a static root.
    """

    place: Place
    instance: Callable[[], Instance | None] | None = None


async def await_ready(watched: list[Watched], health: HealthSpec) -> wire.ProbeResult:
    """Wait until every place gave ``healthy_after`` good answers in a row, ``interval`` apart.

    The first place that can be seen to fail for good ends the wait for all of them.
    """
    if not watched:
        return wire.ProbeResult(
            verdict="unknown", reason="the revision has no instance and no static root here"
        )
    tasks = [asyncio.create_task(_one(one, health)) for one in watched]
    try:
        results = []
        for finished in asyncio.as_completed(tasks):
            result = await finished
            if result.verdict != "good":
                return result
            results.append(result)
        slowest = max(results, key=lambda result: result.latency_ms or 0.0)
        return slowest.model_copy(update={"attempts": sum(r.attempts for r in results)})
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def hopeless(instance: Instance) -> str:
    """Return why an instance will never be ready, or nothing if it still may."""
    status = instance.status
    if status.error:
        return status.error
    if instance.exhausted:
        return "every port that was tried for it is taken by another program"
    if status.crashes >= CRASHES:
        code = status.exit_code
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"it exited {status.crashes} times in a row, last with {how}"
    return ""


async def _one(watched: Watched, health: HealthSpec) -> wire.ProbeResult:
    loop = asyncio.get_running_loop()
    until = loop.time() + health.deadline
    good, attempts, restarts = 0, 0, -1
    last = Answer(False, "it was not asked yet", None, 0.0)
    place = watched.place
    while True:
        instance = watched.instance() if watched.instance else None
        if instance is not None:
            if why := hopeless(instance):
                return _bad(place, why, last, attempts)
            if instance.status.restarts != restarts:
                good, restarts = 0, instance.status.restarts
            # A port that proved to be taken was replaced by another one.
            place = Place(instance.record.address, place.index, place.headers)
        left = until - loop.time()
        if left <= 0:
            why = f"not healthy within {health.deadline:g} s; last: {last.reason or 'good'}"
            return _bad(place, why, last, attempts)
        question = Question(
            path=health.path,
            expect=health.expect,
            timeout=min(health.timeout, left),
            headers=place.headers,
        )
        last = await probes.ask(place.address, question)
        attempts += 1
        good = good + 1 if last.good else 0
        if good >= health.healthy_after:
            return wire.ProbeResult(
                verdict="good",
                status=last.status,
                latency_ms=last.latency_ms,
                attempts=attempts,
            )
        pause = health.interval if good else min(FAST, health.interval)
        await asyncio.sleep(max(0.0, min(pause, until - loop.time())))


def _bad(place: Place, why: str, last: Answer, attempts: int) -> wire.ProbeResult:
    who = "the static root" if place.index is None else f"instance {place.index}"
    return wire.ProbeResult(
        verdict="bad",
        reason=f"{who}: {why}",
        status=last.status,
        latency_ms=last.latency_ms or None,
        attempts=attempts,
    )
