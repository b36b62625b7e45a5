"""Why a deployment went on or back: what was counted, and what was decided from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from turnout.wire.model import Report

VerdictWord = Literal["good", "bad", "unknown", "unavailable"]


class VerdictDocument(Report):
    """A verdict with its evidence.

    Attributes:
        reason: One sentence for people.
        metrics: Measure to its own evidence: e-value, threshold, rates, confidence band.
        evidence: What concerns all of them: exposure, split, guard, error split.
    """

    verdict: VerdictWord
    reason: str = ""
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    evidence: dict[str, Any] = Field(default_factory=dict)


class ArmPoint(Report):
    """What one arm counted in the time since the point before; latencies in milliseconds."""

    requests: int = 0
    errors: int = 0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_low: float | None = None
    p99_high: float | None = None
    """The confidence band of p99 over the whole hold so far."""


class EvidencePoint(Report):
    """One moment of a hold.

    Attributes:
        at: Its end.
        step: The plan's step under way.
        weight: Percent that the candidate had.
        control_weight: Percent that the control had.
        available: Whether every host could be asked.
        log_e: Measure to the natural logarithm of its e-value.
    """

    at: datetime
    step: int
    weight: int
    control_weight: int = 0
    available: bool = True
    candidate: ArmPoint = ArmPoint()
    control: ArmPoint = ArmPoint()
    log_e: dict[str, float] = Field(default_factory=dict)
    verdict: VerdictWord = "unknown"


class Decision(Report):
    """Something that was decided.

    Attributes:
        what: ``weight``, ``go-on``, ``extend``, ``abort``, ``freeze``, ``wait``, ``watch``;
            of people ``approved``, ``rejected``, ``pause``, ``resume``, ``abort-asked``.
        by: ``turnout`` or who asked for it.
    """

    at: datetime
    step: int
    what: str
    weight: int
    verdict: VerdictWord = "unknown"
    reason: str = ""
    by: str = "turnout"


class EvidenceDocument(Report):
    """The evidence of one deployment: ``turnout show ID --evidence``.

    Attributes:
        release: The candidate's release.
        control: The release that it is compared with, if any.
        alpha: How often a release that is no worse may be called bad.
        log_threshold: The line that the logarithm of an e-value crosses for *bad*, by measure.
        points: Oldest first; thinned to the number asked for.
        policy: The analysis as it was asked for.
    """

    deployment: str
    project: str
    environment: str
    strategy: str
    release: str
    control: str | None = None
    alpha: float = 0.01
    log_threshold: dict[str, float] = Field(default_factory=dict)
    points: tuple[EvidencePoint, ...] = ()
    decisions: tuple[Decision, ...] = ()
    verdict: VerdictDocument | None = None
    policy: dict[str, Any] = Field(default_factory=dict)


class ReplayDocument(Report):
    """What another policy would have said about the recorded evidence: ``turnout replay``.

    Attributes:
        first: When that policy's verdict was first *bad* or *good*, if ever.
        verdict: Its verdict at the end.
        actual: What the deployment's own policy said at the end.
    """

    deployment: str
    verdict: VerdictDocument
    actual: VerdictDocument | None = None
    first: datetime | None = None
    decisions: tuple[Decision, ...] = ()
    points: tuple[EvidencePoint, ...] = ()
