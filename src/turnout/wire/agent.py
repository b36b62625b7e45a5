"""Messages between the server and an agent, version 1.

Carried as HTTP under ``/wire/v1``: today over a unix socket, later over mutual TLS.  Every
request says what must be so, so it may be sent twice.  An error is answered as the document
of :meth:`turnout.base.errors.TurnoutError.to_document` with that error's status.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from turnout.wire.model import Message, ReleaseId, Report, RevisionId, Scope
from turnout.wire.project import Component, Domain, HealthSpec, RunSpec, StaticSpec, UrlPath

VERSION = 1
"""The wire version that this code speaks; a peer names its own in ``/wire/hello``."""


class Hello(Report):
    """Who answers: asked first, under no version."""

    versions: tuple[int, ...]
    host: str
    agent: str
    """The agent's package version."""
    pid: int


class Trust(Message):
    """What a host needs to check packages of a scope; kept in memory only.

    ``environment_key`` is 32 bytes in base 64, ``public_key`` the server's signing key as the
    keys room writes it.
    """

    scope: Scope
    environment_key: Annotated[str, Field(repr=False)]
    public_key: str


class Lacking(Report):
    """Digests of a manifest that the host holds in no release."""

    digests: tuple[str, ...]


class Staged(Report):
    """A release that is verified and unpacked on the host."""

    release: ReleaseId
    files: int
    bytes: int
    reused_files: int
    received_bytes: int


class SiteWanted(Message):
    """A static root of a revision must exist."""

    scope: Scope
    revision: RevisionId
    release: ReleaseId
    static: StaticSpec


class BridgeWanted(Message):
    """Hashed assets of these releases, newest first, must stay reachable in a scope."""

    scope: Scope
    releases: tuple[ReleaseId, ...]


class InstanceWanted(Message):
    """Instance *index* of a revision must run."""

    scope: Scope
    revision: RevisionId
    release: ReleaseId
    index: Annotated[int, Field(ge=0, lt=64)]
    run: RunSpec


class InstanceGone(Message):
    """An instance must not run; None means every instance (or the static root) of the revision."""

    scope: Scope
    revision: RevisionId
    index: Annotated[int, Field(ge=0, lt=64)] | None = None
    grace: Annotated[float, Field(ge=0, le=600)] = 10.0


class InstanceFact(Report):
    """One instance as it is."""

    scope: Scope
    revision: RevisionId
    release: ReleaseId
    index: int
    address: str
    """``127.0.0.1:20001`` or ``unix:/path``."""
    state: Literal["starting", "running", "exited", "lost"]
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    started_at: float | None = None


class SiteFact(Report):
    """One static root on a host."""

    scope: Scope
    revision: RevisionId
    release: ReleaseId


class RouteFact(Report):
    """What the router of a host was last told for a scope."""

    scope: Scope
    weights: dict[str, int]


class BinaryFact(Report):
    """An external program that a host uses, and why it is that one."""

    name: str
    path: str
    version: str
    reason: str
    problem: str = ""
    next_step: str = ""


class HostFacts(Report):
    """Everything the coordinator plans with, of one host at one moment."""

    host: str
    agent: str
    releases: tuple[ReleaseId, ...]
    instances: tuple[InstanceFact, ...]
    sites: tuple[SiteFact, ...]
    routes: tuple[RouteFact, ...]
    router_alive: bool
    origin_alive: bool
    disk_free_bytes: int
    memory_free_bytes: int
    binaries: tuple[BinaryFact, ...] = ()


class ReadyWanted(Message):
    """Wait until every instance of a revision (or its static root) is healthy.

    ``deadline`` of the health spec bounds the wait.
    """

    scope: Scope
    revision: RevisionId
    health: HealthSpec


class ProbeWanted(Message):
    """Ask each instance of a revision (or its static root) once."""

    scope: Scope
    revision: RevisionId
    path: UrlPath
    expect: int = 200
    contains: str | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    through_router: bool = False
    """Ask through the router with the preview header, instead of the instances themselves."""


class ProbeResult(Report):
    """A verdict with its evidence.

    ``bad``: it answered wrongly or not at all.  ``unknown``: nothing was there to ask.
    ``unavailable``: the prober itself could not work.
    """

    verdict: Literal["good", "bad", "unknown", "unavailable"]
    reason: str = ""
    status: int | None = None
    latency_ms: float | None = None
    attempts: int = 1
    log_tail: tuple[str, ...] = ()
    """Last lines of the instance's log when the verdict is bad."""


class RevisionRoute(Message):
    """A revision that the router can reach: its configuration says how."""

    revision: RevisionId
    release: ReleaseId
    component: Component


class RoutesWanted(Message):
    """The whole routing of a scope.

    ``weights`` sum to 100, or are empty to take the scope off the air (503).  ``revisions``
    are all that stay reachable by preview or weight; the agent finds their addresses.
    """

    scope: Scope
    domains: tuple[Domain, ...]
    default: bool = False
    weights: dict[RevisionId, Annotated[int, Field(ge=0, le=100)]]
    revisions: tuple[RevisionRoute, ...]


class RoutesApplied(Report):
    """The router acknowledged; new requests obey since then."""

    version: str
    took_ms: float


class DrainWanted(Message):
    """Wait until a revision has no request or stream under way, at most *deadline* seconds."""

    scope: Scope
    revision: RevisionId
    deadline: Annotated[float, Field(ge=0, le=3600)] = 30.0


class Drained(Report):
    """How many requests or streams were left at the deadline."""

    left: int


class Traffic(Report):
    """What the router counted for one revision since the router started."""

    revision: RevisionId
    release: ReleaseId
    weight: int
    requests: int
    by_class: dict[str, int]
    failures: int
    in_flight: int
    latency_ms: dict[str, float]


class TrafficReport(Report):
    """The live split of a scope."""

    scope: Scope
    revisions: tuple[Traffic, ...]


class PruneWanted(Message):
    """Of a scope, keep only these releases and revisions; drop what no scope needs any more."""

    scope: Scope
    releases: tuple[ReleaseId, ...]
    revisions: tuple[RevisionId, ...]


class Pruned(Report):
    """What a prune removed."""

    releases: tuple[ReleaseId, ...]
    revisions: tuple[RevisionId, ...]


class LogLine(Report):
    """One line that an instance wrote."""

    at: float
    scope: str
    revision: str
    index: int
    stream: Literal["out", "err", "turnout"]
    text: str


class LogPage(Report):
    """Log lines and where to go on."""

    lines: tuple[LogLine, ...]
    cursor: str


class LogsWanted(Message):
    """Log lines of a revision's instances after *cursor*, or the last *tail* of them."""

    scope: Scope
    revision: RevisionId
    cursor: str = ""
    tail: Annotated[int, Field(ge=0, le=10_000)] = 200
    wait: Annotated[float, Field(ge=0, le=30)] = 0.0
    """Seconds to wait for a first new line."""
