"""What the endpoints work with, handed to them by FastAPI."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from turnout.api.manifests import OpenManifests
from turnout.api.ports import Coordinator, Store
from turnout.environments.catalogue import Catalogue
from turnout.monitoring.events import EventLog
from turnout.wire.api import ServerInfo

_HEAVY = max(2, os.cpu_count() or 2)


@dataclass(frozen=True)
class House:
    """The rooms below the API, and the sign that the server closes.

    Attributes:
        closing: Set when the server is about to stop, so that streams end by themselves.
        heavy: Held while an upload is worked on, so that uploads leave threads for the others.
    """

    coordinator: Coordinator
    store: Store
    catalogue: Catalogue
    events: EventLog
    manifests: OpenManifests
    info: ServerInfo
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HEAVY))


def _of(request: Request) -> House:
    house = request.app.state.house
    assert isinstance(house, House)
    return house


Rooms = Annotated[House, Depends(_of)]
"""The rooms below, for endpoints."""
