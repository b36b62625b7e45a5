"""Messages between clients and the server: the documents of the HTTP API, version 1.

The command line prints these documents unchanged with ``--json``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints

from turnout.wire.model import Message, Name, ReleaseId, Report
from turnout.wire.project import Intent

Status = Literal[
    "queued",
    "running",
    "waiting",
    "paused",
    "succeeded",
    "failed",
    "rolled_back",
    "aborted",
    "rejected",
]
Priority = Literal["low", "normal", "high", "urgent"]
Cause = Literal["", "failure", "verdict", "slo", "crash-loop", "manual", "api"]
"""What made a rollback: a step that failed, the verdict on live traffic, an absolute limit that
was exceeded, instances that crashed again and again, a person, a program; empty for none."""
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]

ItemT = TypeVar("ItemT")


class Page(Report, Generic[ItemT]):
    """One page of a list, newest first."""

    items: tuple[ItemT, ...]
    next_cursor: str | None = None


class Problem(Report):
    """An RFC 9457 problem document; ``next_step`` and ``facts`` are our own members."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    subject: str = ""
    next_step: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class UploadOpened(Report):
    """Answer to a manifest: the release it is, and what the server lacks of it.

    The client sends segments with the missing digests, then commits.  Opening again after an
    interruption names only what is still missing.
    """

    release: ReleaseId
    missing: tuple[str, ...]
    held_parts: dict[str, tuple[tuple[int, int], ...]] = Field(default_factory=dict)
    """Of large files whose upload was cut: digest to (offset, length) of what is here."""
    complete: bool
    """True: the release is there already and there is nothing to send or to commit."""


class SegmentStored(Report):
    """A segment was verified and sealed."""

    blobs: int
    bytes: int


class ReleaseDocument(Report):
    """A release of a project."""

    release: ReleaseId
    project: Name
    files: int
    bytes: int
    created_at: datetime
    live_in: tuple[str, ...] = ()
    """Environments that serve it now."""
    message: str = ""


class DeployRequest(Message):
    """Start a deployment of a release that the server holds."""

    intent: Intent
    release: ReleaseId
    priority: Priority = "normal"
    message: Text = ""
    queue: bool = True
    """False: answer 409 when another deployment holds the environment."""
    uploaded_bytes: Annotated[int, Field(ge=0)] = 0
    reused_bytes: Annotated[int, Field(ge=0)] = 0


class RollbackRequest(Message):
    """Go back to the release before, or to a kept one (a prefix of at least 6 digits will do)."""

    project: Name
    environment: Name
    to: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{6,64}$")] | None = None
    at: datetime | None = None
    """Back to what was live at that moment, which needs a time zone; not together with ``to``."""
    only: Name | None = None
    """Go back with only that part of the release unit, ``configuration`` or ``code``; the other
    stays as it is live now."""
    drill: bool = False
    """Rehearse it on instances without live traffic, measure it, and change nothing."""
    force: bool = False
    """Go back although something was done since that cannot be taken back."""
    reason: Text = ""


class PlannedStep(Report):
    """One step of a plan as people read it."""

    index: int
    phase: str
    action: str
    host: str | None = None
    title: str
    undo: str | None = None
    irreversible: bool = False
    """The point of no return: nothing goes back behind it by itself."""


class PlanDocument(Report):
    """The exact steps that a deployment would run now."""

    project: Name
    environment: Name
    kind: Literal["deployment", "rollback"]
    strategy: str
    release: ReleaseId
    live_release: ReleaseId | None
    digest: str
    """SHA-256 of the canonical plan; approvals bind to it."""
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...] = ()


class StepDocument(Report):
    """One step of a deployment as it went."""

    index: int
    phase: str
    action: str
    host: str | None
    title: str
    status: Literal["pending", "running", "done", "failed", "undoing", "undone", "undo_failed"]
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""
    result: dict[str, Any] = Field(default_factory=dict)
    undo: str | None = None
    """How it is taken back; None when there is nothing to take back."""
    irreversible: bool = False


class PhaseDocument(Report):
    """One phase of a deployment as it went."""

    name: str
    status: Literal["pending", "running", "done", "failed"]
    started_at: datetime | None = None
    finished_at: datetime | None = None


class DeploymentDocument(Report):
    """A deployment or a rollback: the final JSON of ``turnout deploy``."""

    id: str
    kind: Literal["deployment", "rollback"]
    project: Name
    environment: Name
    strategy: str
    release: ReleaseId
    previous_release: ReleaseId | None = None
    status: Status
    phase: str | None
    priority: Priority = "normal"
    message: str = ""
    requested_by: str = ""
    """The account that asked for it."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    url: str
    urls: tuple[str, ...] = ()
    release_url: str
    uploaded_bytes: int = 0
    reused_bytes: int = 0
    events_url: str
    reason: str = ""
    """Why it ended as it did; for a failure what, to what, why and what to do next."""
    problem: dict[str, Any] | None = None
    """The error document behind ``reason``, if an error ended it."""
    cause: Cause = ""
    """What made it go back: a rollback, or a deployment that was taken back."""
    only: Literal["", "configuration", "code"] = ""
    """The part of the release unit that a rollback was about; empty for all of it."""
    drill: bool = False
    """A rollback that was only rehearsed."""
    failed_requests: int | None = None
    """Live requests of the environment that failed while it was under way, to the second; None
    until they are counted, some seconds behind its end, and where nobody counts."""


class WaitingFor(Report):
    """What a deployment waits for, since when, and what ends the wait."""

    kind: Literal["hold", "approval", "gate", "window", "frozen"]
    name: str = ""
    since: datetime
    until: datetime | None = None
    """When the wait ends by itself, in whatever way ``reason`` says."""
    reason: str = ""
    ways_out: tuple[str, ...] = ()
    """Verbs that end it: ``approve``, ``promote``, ``abort``, ``retry`` and so on."""


class SplitPart(Report):
    """One revision's part in a deployment under way."""

    revision: str
    release: ReleaseId
    role: Literal["candidate", "control", "live"]
    weight: int


class DrillResult(Report):
    """What a rehearsed rollback has shown."""

    would_work: bool
    ready_s: float | None = None
    """Seconds until the target was ready for live traffic: what a rollback takes but its switch."""
    fails: str = ""
    """The step that failed, and why."""


class DeploymentDetail(DeploymentDocument):
    """A deployment with its phases and steps, for ``turnout show``."""

    phases: tuple[PhaseDocument, ...] = ()
    steps: tuple[StepDocument, ...] = ()
    waiting_for: WaitingFor | None = None
    split: tuple[SplitPart, ...] = ()
    """The live split while it is under way."""
    plan_digest: str = ""
    """What an approval binds to."""
    no_return_at: int | None = None
    """The step behind which nothing goes back by itself."""
    drilled: DrillResult | None = None
    """What a drill has shown, once it has ended."""


class ActRequest(Message):
    """Pause, resume, abort or retry a deployment."""

    reason: Text = ""


class EnvironmentDocument(Report):
    """What is live in one environment."""

    project: Name
    environment: Name
    live_release: ReleaseId | None
    live_since: datetime | None = None
    previous_release: ReleaseId | None = None
    warm_until: datetime | None = None
    """Until when the release before is kept running for an instant rollback."""
    deployment: str | None = None
    """The deployment under way, if any."""
    deployment_status: Status | None = None
    queued: int = 0
    url: str
    health: Literal["healthy", "degraded", "down", "unknown"] = "unknown"


class TrafficRow(Report):
    """One revision's part of the live split."""

    release: ReleaseId
    revision: str
    host: str
    weight: int
    share: float | None
    """Measured share of requests since the router started, 0 to 1; None without traffic."""
    requests: int
    by_class: dict[str, int]
    error_rate: float | None
    failures: int
    in_flight: int
    latency_ms: dict[str, float]


class TrafficDocument(Report):
    """The live split of an environment."""

    project: Name
    environment: Name
    rows: tuple[TrafficRow, ...]


class Event(Report):
    """Something that happened; ``seq`` orders all events of a server without gaps.

    Kinds are dotted: ``deployment.started``, ``phase.started``, ``step.done``, ``step.retry``,
    ``deployment.finished`` and so on.
    """

    seq: int
    at: datetime
    kind: str
    project: str | None = None
    environment: str | None = None
    deployment: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class LogEntry(Report):
    """One log line of a deployment: of an instance, or of Turnout itself."""

    at: datetime
    host: str
    source: str
    text: str


class ServerInfo(Report):
    """Who answers and where the sites are, for clients and ``doctor``."""

    version: str
    api: str = "v1"
    http_address: str
    single_machine: bool
    pid: int
    data: str


class CheckDocument(Report):
    """One finding of ``turnout doctor``."""

    name: str
    status: Literal["ok", "warning", "error"]
    detail: str
    next_step: str = ""


class Doctor(Report):
    """All findings; ``ok`` is false when one of them is an error."""

    ok: bool
    checks: tuple[CheckDocument, ...]
