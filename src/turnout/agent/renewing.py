"""Renewal of a router that an upgrade of Turnout left running as it was."""

from __future__ import annotations

import asyncio

import structlog

from turnout.base.errors import TurnoutError
from turnout.routers.port import Router

EVERY = 30.0
"""Seconds between two looks whether nothing is under way."""

_log = structlog.get_logger()


async def renew(router: Router, every: float = EVERY) -> None:
    """Replace a router that is outdated as soon as nothing is under way; return when it is not.

    A restart drops nothing, but the old process may live for a while only: a stream that goes
    on for longer would be cut, so one that is never quiet is left as it is.

    Args:
        every: Seconds between two looks.
    """
    while router.outdated:
        if await _is_quiet(router):
            try:
                found = await router.restart()
            except (TurnoutError, OSError) as error:
                following = getattr(error, "next_step", "")
                _log.warning("router.outdated", why=str(error), next_step=following)
                return
            _log.info("router.renewed", version=found.version, epoch=found.epoch)
        await asyncio.sleep(every)


async def _is_quiet(router: Router) -> bool:
    try:
        counted = await router.statistics()
    except TurnoutError:
        return False  # upkeep starts it anew
    return not any(traffic.in_flight for _, traffic in counted.backends)
