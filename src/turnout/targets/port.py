"""The port to one host: facts out, wanted states in.

Every method says what must be so and may be called twice.  Each raises
:class:`~turnout.base.errors.Unreachable` when the host does not answer, and whatever error the
host itself reported otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

from turnout.wire import agent as wire
from turnout.wire.statistics import HostStatistics


class Host(ABC):
    """One machine with an agent."""

    name: str

    @abstractmethod
    async def hello(self) -> wire.Hello:
        """Return who answers, and agree on a wire version.

        Raises:
            Failed: The agent speaks no version that this code speaks.
        """

    @abstractmethod
    async def facts(self) -> wire.HostFacts:
        """Return what is on the host now."""

    @abstractmethod
    async def lacking(self, scope: str, manifest: bytes) -> tuple[str, ...]:
        """Return the digests of a canonical *manifest* that the host would need to be sent."""

    @abstractmethod
    async def stage(self, trust: wire.Trust, package: Path) -> wire.Staged:
        """Send a package; return when its release is verified and unpacked.

        Raises:
            Untrusted: The package, its placement or a file in it is not what was signed.
        """

    @abstractmethod
    async def ensure_site(self, wanted: wire.SiteWanted) -> None:
        """Make a static root exist."""

    @abstractmethod
    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        """Keep hashed assets of earlier releases reachable in a scope."""

    @abstractmethod
    async def ensure_instance(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        """Make an instance run; it need not be ready yet."""

    @abstractmethod
    async def remove_instances(self, gone: wire.InstanceGone) -> None:
        """Stop instances, or remove a static root."""

    @abstractmethod
    async def await_ready(self, wanted: wire.ReadyWanted) -> wire.ProbeResult:
        """Wait until a revision is healthy: good, or bad with the reason and the last log lines."""

    @abstractmethod
    async def probe(self, wanted: wire.ProbeWanted) -> wire.ProbeResult:
        """Ask a revision once."""

    @abstractmethod
    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        """Set the routing of a scope and wait until new requests obey it."""

    @abstractmethod
    async def unroute(self, scope: str) -> None:
        """Take a scope out of the router."""

    @abstractmethod
    async def drain(self, wanted: wire.DrainWanted) -> wire.Drained:
        """Wait for the requests and streams of a revision to end."""

    @abstractmethod
    async def statistics(self) -> HostStatistics:
        """Return everything that the host counted; asked every second."""

    @abstractmethod
    async def run_command(self, wanted: wire.CommandWanted) -> wire.CommandResult:
        """Run a command once in a private copy of a release; wait for its end.

        Asked again under the same id, also after a crash of the agent, it waits for that run
        or tells its result again.
        """

    @abstractmethod
    async def restart_router(self) -> wire.RouterRestarted:
        """Replace the router's process by a fresh one without dropping a request.

        Raises:
            Failed: The fresh one did not take over; the old one goes on.
        """

    @abstractmethod
    async def access_log(self, wanted: wire.AccessLogWanted) -> None:
        """Switch the access log of a scope on or off."""

    @abstractmethod
    async def traffic(self, scope: str) -> wire.TrafficReport:
        """Return the live split of a scope."""

    @abstractmethod
    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        """Remove what a scope needs no longer."""

    @abstractmethod
    async def logs(self, wanted: wire.LogsWanted) -> wire.LogPage:
        """Return log lines of a revision's instances."""

    @abstractmethod
    async def halt(self) -> None:
        """End the router, the static origin and every instance; what is wanted stays wanted.

        The agent brings all of it up again when it is started the next time.
        """

    @abstractmethod
    def follow_logs(self, wanted: wire.LogsWanted) -> AsyncIterator[wire.LogLine]:
        """Yield log lines as they are written, until the caller stops."""
