"""The port to a router: the wanted state in, an acknowledged switch and statistics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HeaderRule:
    """A response header that a static site's own configuration asks for.

    Attributes:
        pattern: A path with ``*`` for any characters, such as ``/assets/*``.
        name: The header's name.
        value: Its value; it replaces whatever the origin said.
    """

    pattern: str
    name: str
    value: str


@dataclass(frozen=True)
class Backend:
    """One revision of one scope, as the router sees it.

    Attributes:
        revision: 16 hexadecimal digits.
        release: The release it runs, 64 hexadecimal digits.
        addresses: Where its instances listen: ``127.0.0.1:20001`` or ``unix:/short/path``.
        site: For a static site the value of the internal header that tells the static origin
            which root to serve, ``project/environment/revision``; None for a server app.
        spa: Whether unknown paths without a file ending get ``/index.html``.
        headers: Rules of the release's own configuration, the first match of a name wins.
    """

    revision: str
    release: str
    addresses: tuple[str, ...]
    site: str | None = None
    spa: bool = False
    headers: tuple[HeaderRule, ...] = ()


@dataclass(frozen=True)
class Site:
    """What one scope (one environment of one project) wants from the router.

    Attributes:
        scope: ``project/environment``.
        domains: Host names that lead here, without port.
        default: Whether requests for a bare address (an IP address, ``localhost``) lead here
            too; at most one site of a host has it.
        weights: Revision to weight; weights sum to 100. Empty: every request gets 503.
        backends: Every revision that can be reached, by weight or by preview.
    """

    scope: str
    domains: tuple[str, ...]
    default: bool
    weights: Mapping[str, int]
    backends: tuple[Backend, ...] = field(default=())


@dataclass(frozen=True)
class Applied:
    """An acknowledged change.

    Attributes:
        version: The version that the router reports as active.
        took_s: Seconds from the call to the acknowledgement.
    """

    version: str
    took_s: float


@dataclass(frozen=True)
class BackendTraffic:
    """What the router counted for one revision since it started.

    Attributes:
        requests: Completed requests.
        by_class: Requests by status class: ``2xx`` to ``5xx``.
        failures: Requests that no instance answered (connect failures, resets, no instance).
        in_flight: Requests and streams under way now.
        latency_ms: Quantile (``p50``, ``p90``, ``p99``) to milliseconds; empty without traffic.
    """

    revision: str
    requests: int
    by_class: Mapping[str, int]
    failures: int
    in_flight: int
    latency_ms: Mapping[str, float]


class Router(ABC):
    """A router process on this host.

    Every method may be called again with the same arguments without further effect.  The
    process outlives the agent: a new object over the same directory takes it up again.
    """

    @abstractmethod
    async def start(self) -> None:
        """Make the process run with the state it was last given; adopt it if it runs already.

        Raises:
            Conflict: Its port is taken.
            Failed: It cannot start (a missing or wrong binary).
        """

    @abstractmethod
    async def apply(self, sites: Sequence[Site]) -> Applied:
        """Make *sites* the whole wanted state and wait until new requests obey it.

        A backend that is new is added and warm before the first route leads to it; one that
        is gone is removed after the last route has left it.

        Raises:
            InvalidInput: The state contradicts itself (a weight without backend, two defaults,
                a domain given twice).
            Failed: The router refused it or did not acknowledge in time; the old state stays.
        """

    @abstractmethod
    async def traffic(self, scope: str) -> list[BackendTraffic]:
        """Return what was counted for every backend of *scope* that the router knows."""

    @abstractmethod
    async def wait_idle(self, scope: str, revision: str, deadline_s: float) -> int:
        """Wait until *revision* has no request or stream under way.

        Returns:
            How many were left when *deadline_s* had passed, 0 if none.
        """

    @abstractmethod
    async def alive(self) -> bool:
        """Return whether the process runs and answers."""

    @abstractmethod
    async def stop(self) -> None:
        """End the process; requests under way are cut."""
