"""Housekeeping: what has served its time goes, so that a server can run for years.

Deployments, their steps and the history stay; the engine's checkpoints of workflows that have
ended are of no use to anybody, and events are kept for a month.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from turnout.base import clock
from turnout.coordinator.engine import Engine
from turnout.monitoring.events import EventLog

log = structlog.get_logger(__name__)

EVERY_S = 600.0
CHECKPOINTS_KEPT = timedelta(hours=1)
EVENTS_KEPT = timedelta(days=30)


async def work(engine: Engine, events: EventLog) -> None:
    """Clean up for ever; started once when the server starts."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await clean(engine, events)
        except Exception:
            # The next round tries again; nothing depends on this one.
            log.exception("housekeeping.failed")


async def clean(
    engine: Engine,
    events: EventLog,
    checkpoints_kept: timedelta = CHECKPOINTS_KEPT,
    events_kept: timedelta = EVENTS_KEPT,
) -> tuple[int, int]:
    """Clean up once; return how many workflows and how many events went."""
    now = clock.now()
    workflows = await engine.forget_ended(now - checkpoints_kept)
    return workflows, await asyncio.to_thread(events.forget, now - events_kept)
