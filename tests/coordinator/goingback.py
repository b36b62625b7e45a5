"""Rollbacks as tests ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import Rig, launched
from turnout.wire.api import DeploymentDetail, RollbackRequest


def asked(**fields: Any) -> RollbackRequest:
    """Return the request for a rollback of the shop's production."""
    return RollbackRequest(project="shop", environment="production", **fields)


async def back(rig: Rig, **fields: Any) -> DeploymentDetail:
    """Roll back to the end."""
    started = await rig.coordinator.rollback(asked(**fields), "ada")
    return await rig.ended(started.id)


async def live(rig: Rig) -> str | None:
    """Return the live release."""
    return (await rig.coordinator.environment("shop", "production")).live_release


async def previous(rig: Rig) -> str | None:
    """Return the release that a rollback goes back to unasked."""
    return (await rig.coordinator.environment("shop", "production")).previous_release


@asynccontextmanager
async def small_rig(place: Path, **settings: Any) -> AsyncIterator[Rig]:
    """Run a coordinator on SQLite and a fake host."""
    async with launched(Rig(place, GatedHost(), **settings)) as rig:
        yield rig
