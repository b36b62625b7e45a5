"""Where a revision answers on this host: its instances' addresses, or the static origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from turnout.agent.instances import Instances
from turnout.agent.probes import Question
from turnout.agent.trees import Trees
from turnout.wire import agent as wire
from turnout.wire.project import StaticSpec

# Names that the router's routes and the origin's configuration agree on.
SITE_HEADER = "x-turnout-site"
SPA_HEADER = "x-turnout-spa"
RELEASE_HEADER = "x-turnout-release"


class Origin(Protocol):
    """The static origin of this host: a process that outlives the agent."""

    @property
    def address(self) -> str:
        """``unix:/path`` or ``127.0.0.1:port``."""

    async def start(self) -> None:
        """Make it run; adopt it if it runs already."""

    async def alive(self) -> bool:
        """Return whether it runs and answers."""

    async def stop(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Place:
    """One address at which a revision answers.

    Attributes:
        address: ``127.0.0.1:20001`` or ``unix:/path``.
        index: Which instance; None for a static root.
        headers: What a request there must carry.
    """

    address: str
    index: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def carrying(self, question: Question, host: str = "localhost") -> Question:
        """Return *question* with the headers that this place needs."""
        return replace(question, headers=self.headers, host=host)


def of(
    instances: Instances, trees: Trees, origin: Origin, scope: str, revision: str
) -> list[Place]:
    """Return every place of a revision; none if it has neither instances nor a static root."""
    if trees.has_site(scope, revision):
        spec = next(
            (s.static for s in trees.sites() if (s.scope, s.revision) == (scope, revision)),
            StaticSpec(),
        )
        return [Place(origin.address, None, site_headers(scope, revision, spec))]
    return [
        Place(instance.record.address, instance.record.wanted.index)
        for instance in instances.of(scope, revision)
    ]


def site_headers(scope: str, revision: str, static: StaticSpec) -> dict[str, str]:
    """Return the internal headers that name a static root to the origin."""
    return {SITE_HEADER: f"{scope}/{revision}", SPA_HEADER: "1" if static.spa else "0"}


def addresses(
    instances: Instances, origin: Origin, scope: str, route: wire.RevisionRoute
) -> tuple[str, ...]:
    """Return where the router reaches a revision: at its admitted and its draining instances.

    While none of its instances was ever ready all of them count, for the alternative is to
    refuse every request.
    """
    if route.component.static is not None:
        return (origin.address,)
    found = instances.of(scope, route.revision)
    known = [i for i in found if i.admission != "waiting"]
    return tuple(i.record.address for i in known or found)


def draining(instances: Instances, scope: str, route: wire.RevisionRoute) -> tuple[str, ...]:
    """Return those of the addresses of a revision that get no new requests."""
    if route.component.static is not None:
        return ()
    found = instances.of(scope, route.revision)
    return tuple(i.record.address for i in found if i.admission == "draining")


def reachable(http: tuple[str, int]) -> str:
    """Return where a client on this machine reaches the router that listens on *http*."""
    address, port = http
    if address in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        address = "127.0.0.1"
    if address in ("::", "[::]"):
        address = "::1"
    return f"[{address}]:{port}" if ":" in address.strip("[]") else f"{address}:{port}"
