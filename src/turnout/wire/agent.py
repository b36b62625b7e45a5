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
from turnout.wire.rollout import Tester
from turnout.wire.words import Argument, VariableName, VariableValue

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
    draining: bool = False
    """It gets no new requests."""


class SiteFact(Report):
    """One static root on a host."""

    scope: Scope
    revision: RevisionId
    release: ReleaseId


class Split(Message):
    """How clients are told apart while a candidate gets a share of the traffic."""

    candidate: RevisionId
    baseline: RevisionId | None = None
    sticky: bool = False
    testers: tuple[Tester, ...] = ()


class Mirror(Message):
    """Copies of safe requests go to a revision whose answers nobody sees."""

    revision: RevisionId
    percent: Annotated[int, Field(ge=1, le=100)]


class RouteFact(Report):
    """What the router of a host was last told for a scope."""

    scope: Scope
    weights: dict[str, int]
    split: Split | None = None
    mirror: Mirror | None = None


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
    index: Annotated[int, Field(ge=0, lt=64)] | None = None
    """One instance alone; it gets requests from then on if its revision does."""


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


class CommandWanted(Message):
    """A command that runs once in a private copy of a release's tree.

    ``id`` names this run: asked again under the same one, also after a crash of the agent, the
    host waits for it or tells its result again and never runs it twice.
    """

    scope: Scope
    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,80}$")]
    revision: RevisionId
    release: ReleaseId
    command: Annotated[tuple[Argument, ...], Field(min_length=1, max_length=256)]
    variables: dict[VariableName, VariableValue] = Field(default_factory=dict, max_length=512)
    timeout: Annotated[float, Field(gt=0, le=86400)] = 600.0


class CommandResult(Report):
    """How a command ended; ``tail`` is the last it wrote."""

    exit_code: int
    timed_out: bool = False
    took_s: float = 0.0
    tail: tuple[str, ...] = ()


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
    split: Split | None = None
    """How clients are told apart while two releases answer; None: each request by itself."""
    mirror: Mirror | None = None


class RoutesApplied(Report):
    """The router acknowledged; new requests obey since then."""

    version: str
    took_ms: float


class DrainWanted(Message):
    """Wait until a revision has no request or stream under way, at most *deadline* seconds."""

    scope: Scope
    revision: RevisionId
    index: Annotated[int, Field(ge=0, lt=64)] | None = None
    """One instance alone, which gets no new requests from then on; None: all of them."""
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


class RouterRestarted(Report):
    """The router runs anew, with nothing dropped; ``epoch`` counts its restarts."""

    epoch: int
    took_ms: float
    version: str


class AccessLogWanted(Message):
    """Whether the router writes a line for each request of a scope."""

    scope: Scope
    on: bool


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
