"""What every part of the coordinator works with, in one frozen bundle."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from turnout.coordinator.fleet import Fleet
from turnout.coordinator.ledger import Ledger
from turnout.environments.catalogue import Catalogue
from turnout.keys.keyring import Keyring
from turnout.monitoring.otlp import Endpoint
from turnout.monitoring.series import Series
from turnout.monitoring.ticks import Ticks
from turnout.packages.store import Store
from turnout.wire.project import Intent


@dataclass(frozen=True)
class Settings:
    """The coordinator's settings.

    Attributes:
        http_address: ``host:port`` where users reach the sites.
        concurrency: Deployments that run at once; the others wait their turn.
        queue_deadline_s: A deployment that waited this long for its turn is ended.
        pause_deadline_s: A deployment that was paused this long is aborted.
        attempt_deadline_s: One attempt of a step is given up after this; longer than any
            deadline that a step has of its own.
        sweep_interval_s: How often what is no longer wanted is looked for.
        single_machine: Environments are made by the first deployment into them.
        collects: Whether hosts are asked every second what they counted; without it nothing
            can be judged, and every hold finds its measurements unavailable.
        traces: Where the traces of deployments are sent; None: nowhere.
    """

    http_address: str
    concurrency: int = 8
    queue_deadline_s: float = 86400.0
    pause_deadline_s: float = 86400.0
    attempt_deadline_s: float = 7200.0
    sweep_interval_s: float = 1.0
    single_machine: bool = True
    collects: bool = True
    traces: Endpoint | None = None


@dataclass(frozen=True)
class Context:
    """Everything that steps need from outside."""

    ledger: Ledger
    fleet: Fleet
    store: Store
    keyring: Keyring
    catalogue: Catalogue
    settings: Settings
    series: Series
    alarms: dict[str, asyncio.Event] = field(default_factory=dict)
    """Deployment to the event that ends its running step at once."""
    bells: dict[str, asyncio.Event] = field(default_factory=dict)
    """Deployment to the event that makes its running step look at once what somebody asked."""
    tidying: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )
    """A scope (or ``scope/revision``) to the lock that the sweeper holds while it changes it.

    A deployment that was given its scope passes through it once before it plans: what it then
    sees is not taken away any more.
    """

    @property
    def ticks(self) -> Ticks:
        """The seconds of scopes as they end."""
        return Ticks(self.series)

    def alarm(self, deployment: str) -> asyncio.Event:
        """Return the event of a deployment, made when first asked for."""
        return self.alarms.setdefault(deployment, asyncio.Event())

    def bell(self, deployment: str) -> asyncio.Event:
        """Return the bell of a deployment, made when first asked for; who hears it clears it."""
        return self.bells.setdefault(deployment, asyncio.Event())


def domains_of(project: str, environment: str, intent: Intent) -> tuple[str, ...]:
    """Return the host names that lead to an environment, the built-in one first."""
    label = f"{project}.localhost"
    if environment != "production":
        label = f"{environment}.{label}"
    return (label, *(domain for domain in intent.domains if domain != label))
