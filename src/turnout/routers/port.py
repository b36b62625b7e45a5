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
class Limits:
    """Circuit breakers of one backend; None means no limit.

    Attributes:
        connections: Connections to its instances at once; requests wait for one.  Each thread
            of the router may keep one all the same.
        requests: Requests under way at once; more get 503 at once instead of waiting.
    """

    connections: int | None = None
    requests: int | None = None


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
        draining: Those of ``addresses`` that get no new requests; what is under way goes on.
        limits: Its circuit breakers.
    """

    revision: str
    release: str
    addresses: tuple[str, ...]
    site: str | None = None
    spa: bool = False
    headers: tuple[HeaderRule, ...] = ()
    draining: tuple[str, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Tester:
    """Requests that reach the candidate at any weight, while it is among the backends.

    A header or a cookie marks them.

    Attributes:
        value: The exact value; None (for a header only): any.
    """

    header: str | None = None
    cookie: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Split:
    """How clients are told apart while a candidate gets a share of the traffic.

    Attributes:
        candidate: Its revision.
        baseline: The revision of fresh instances of the old release, if there are such.
        sticky: Whether clients keep their release by a cookie of the router's own.  Raising the
            candidate's weight then never moves anybody back; at weight 0 everybody is moved.
    """

    candidate: str
    baseline: str | None = None
    sticky: bool = False
    testers: tuple[Tester, ...] = ()


@dataclass(frozen=True)
class Mirror:
    """Copies of this percentage of safe requests (GET, HEAD, OPTIONS without a body) go to a
    revision whose answers nobody sees."""

    revision: str
    percent: int


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
        split: How clients are told apart; None: each request by itself, by weight alone.
        mirror: Which revision gets copies of requests.
        access_log: Whether a line is written for each request of this site.
    """

    scope: str
    domains: tuple[str, ...]
    default: bool
    weights: Mapping[str, int]
    backends: tuple[Backend, ...] = field(default=())
    split: Split | None = None
    mirror: Mirror | None = None
    access_log: bool = False


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
        latency: Pairs of a bucket's upper bound in milliseconds (of
            :data:`turnout.wire.statistics.BOUNDS_MS`) and how many requests fell into it, not
            cumulative over buckets; empty buckets are left out.
        ejections: How often an instance was taken out for answering badly.
    """

    revision: str
    requests: int
    by_class: Mapping[str, int]
    failures: int
    in_flight: int
    latency_ms: Mapping[str, float]
    latency: tuple[tuple[float, int], ...] = ()
    ejections: int = 0


@dataclass(frozen=True)
class Statistics:
    """What the router counted for every backend that it knows.

    Attributes:
        counting_since: Changes whenever the counters begin anew from zero: a fresh process
            that took nothing over.
        backends: ``(scope, traffic)`` of each.
    """

    counting_since: str
    backends: tuple[tuple[str, BackendTraffic], ...]


@dataclass(frozen=True)
class Restarted:
    """A fresh process took over.

    Attributes:
        epoch: How many took over since the last start from nothing.
        took_s: Seconds from the call until the fresh one answers for every new connection.
        version: The program's version.
    """

    epoch: int
    took_s: float
    version: str


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

    @property
    def outdated(self) -> bool:
        """Whether it runs, but not as it would be started today; a restart renews it."""
        return False

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
    async def statistics(self) -> Statistics:
        """Return what was counted for every backend; cheap enough to be asked every second.

        Raises:
            Unreachable: The router does not answer.
        """

    @abstractmethod
    async def restart(self) -> Restarted:
        """Replace the process by a fresh one; no request or connection attempt fails.

        Requests under way go on in the old process until they end or its drain time passes.
        Counters begin anew.

        Raises:
            Failed: The fresh one did not take over; the old one goes on.  So it is while the
                process before that one still has connections.
        """

    @abstractmethod
    async def wait_idle(
        self, scope: str, revision: str, deadline_s: float, address: str | None = None
    ) -> int:
        """Wait until *revision* has no request or stream under way.

        Args:
            address: Look at this one of its addresses alone.

        Returns:
            How many were left when *deadline_s* had passed, 0 if none.
        """

    @abstractmethod
    async def alive(self) -> bool:
        """Return whether the process runs and answers."""

    @abstractmethod
    async def ended(self) -> None:
        """Return as soon as the process that serves has ended, at once if none does."""

    @abstractmethod
    async def stop(self) -> None:
        """End the process; requests under way are cut."""
