"""The evidence as people read it: the verdict, what was decided, and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from turnout.web.charts.chart import Chart
from turnout.web.charts.pictures import pictures
from turnout.web.measures import Facts, Measure, facts, measures
from turnout.web.words import Moment, Tone, moment, number, percent, short, tone
from turnout.wire.evidence import ArmPoint, Decision, EvidenceDocument, EvidencePoint

_MOST_ROWS = 12


@dataclass(frozen=True)
class DecisionRow:
    """One decision."""

    number: int
    at: Moment
    what: str
    weight: int
    verdict: str
    tone: Tone
    reason: str
    by: str


@dataclass(frozen=True)
class CountRow:
    """The numbers behind the charts, of one moment."""

    at: str
    weight: int
    candidate: str
    candidate_p99: str
    control: str
    control_p99: str


@dataclass(frozen=True)
class EvidenceView:
    """Everything that the page shows of a deployment's evidence."""

    release: str
    control: str
    alpha: str
    verdict: str
    tone: Tone
    reason: str
    measures: tuple[Measure, ...]
    common: Facts
    decisions: tuple[DecisionRow, ...]
    charts: tuple[Chart, ...]
    counts: tuple[CountRow, ...]
    policy: Facts

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured or decided yet."""
        return not (self.charts or self.decisions or self.verdict)


def view(document: EvidenceDocument, now: datetime) -> EvidenceView:
    """Return a deployment's evidence as the page shows it."""
    verdict = document.verdict
    return EvidenceView(
        release=short(document.release),
        control=short(document.control),
        alpha=percent(document.alpha),
        verdict=verdict.verdict if verdict else "",
        tone=tone(verdict.verdict) if verdict else "idle",
        reason=verdict.reason if verdict else "",
        measures=measures(verdict.metrics) if verdict else (),
        common=facts(verdict.evidence) if verdict else (),
        decisions=tuple(
            _decision(index, one, now) for index, one in enumerate(document.decisions, 1)
        ),
        charts=pictures(document),
        counts=tuple(_count(document.points)),
        policy=facts(document.policy),
    )


def _decision(index: int, decision: Decision, now: datetime) -> DecisionRow:
    return DecisionRow(
        number=index,
        at=moment(decision.at, now),
        what=decision.what.replace("-", " "),
        weight=decision.weight,
        verdict=decision.verdict,
        tone=tone(decision.verdict),
        reason=decision.reason,
        by=decision.by,
    )


def _count(points: Sequence[EvidencePoint]) -> Iterable[CountRow]:
    step = max(1, math.ceil(len(points) / _MOST_ROWS))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        yield CountRow(
            at=part[-1].at.strftime("%H:%M:%S"),
            weight=part[-1].weight,
            candidate=_arm([point.candidate for point in part]),
            candidate_p99=_p99(part[-1].candidate),
            control=_arm([point.control for point in part]),
            control_p99=_p99(part[-1].control),
        )


def _arm(arms: Sequence[ArmPoint]) -> str:
    requests, errors = sum(arm.requests for arm in arms), sum(arm.errors for arm in arms)
    return f"{errors:,} of {requests:,}"


def _p99(arm: ArmPoint) -> str:
    return "" if arm.p99 is None else f"{number(arm.p99)} ms"
