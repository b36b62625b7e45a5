"""The port to a metric source, and what a measurement of one says.

The lifecycle is that of Argo Rollouts' metric providers (run, resume, terminate, collect).  A
measurement is plain data, so one that was under way when the server was killed is resumed by
the next one.  Nothing here raises for what a source says or fails to say: that is a verdict.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from turnout.base import clock
from turnout.base.logs import scrub
from turnout.wire.rollout import MetricSpec

Word = Literal["good", "bad", "unknown", "unavailable"]
_REASON_CHARS = 300


@dataclass(frozen=True)
class Target:
    """What is measured; fills the placeholders of queries and addresses."""

    project: str
    environment: str
    release: str
    revision: str
    deployment: str = ""

    def fill(self, text: str) -> str:
        """Return *text* with ``{project}`` and the like replaced; other braces stay."""
        for name in ("project", "environment", "release", "revision"):
            text = text.replace("{" + name + "}", getattr(self, name))
        return text


@dataclass(frozen=True)
class Verdict:
    """What is known of a metric.

    Attributes:
        word: ``unknown``: asked, and there is no value; ``unavailable``: could not be asked.
        reason: One sentence for people.
        evidence: The values behind it.
        decides: False for a dry run, which is judged and shown but decides nothing.
    """

    word: Word
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    decides: bool = True


@dataclass(frozen=True)
class Measurement:
    """One measurement of a metric.

    Attributes:
        id: Names it; the same for all that belongs to it.
        state: ``running`` until :meth:`Source.resume` finds its end.
        started_at: Seconds since 1970.
        resume_at: When it is worth a look again, while it runs.
        value: What was measured, if a number came.
        word: What the value means, once it is ``done``.
        reason: One sentence for people.
        memory: What the source needs to go on with it.
    """

    id: str
    state: Literal["running", "done"]
    started_at: float
    finished_at: float | None = None
    resume_at: float | None = None
    value: float | None = None
    word: Word = "unknown"
    reason: str = ""
    memory: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Measurement:
        """Return what :meth:`to_json` wrote."""
        return cls(**document)


class Source(ABC):
    """Measures one metric of one release.

    Args:
        spec: The metric.
        target: What it measures.
    """

    def __init__(self, spec: MetricSpec, target: Target) -> None:
        self.spec = spec
        self.target = target

    @abstractmethod
    async def run(self, id: str) -> Measurement:
        """Begin a measurement; one that takes no time is done already."""

    async def resume(self, measurement: Measurement) -> Measurement:
        """Return how a measurement stands now; one that is done stays as it is."""
        return measurement

    async def terminate(self, measurement: Measurement) -> Measurement:
        """End a measurement that is under way, without a value."""
        if measurement.state == "done":
            return measurement
        return self._done(measurement, "unknown", "it was called off")

    async def collect(self, kept: Sequence[Measurement]) -> None:  # noqa: B027 - most keep nothing
        """Forget what belongs to measurements other than *kept*."""

    def _begin(self, id: str) -> Measurement:
        return Measurement(id, "running", clock.now().timestamp())

    def _done(
        self, measurement: Measurement, word: Word, reason: str, value: float | None = None
    ) -> Measurement:
        return replace(
            measurement,
            state="done",
            finished_at=clock.now().timestamp(),
            resume_at=None,
            word=word,
            reason=scrub(reason)[:_REASON_CHARS],
            value=value,
            memory={},
        )

    def _valued(self, measurement: Measurement, value: float) -> Measurement:
        """Return *measurement* with a value and what the limits say of it."""
        word, reason = within(self.spec, value)
        return self._done(measurement, word, reason, value if math.isfinite(value) else None)


def within(spec: MetricSpec, value: float) -> tuple[Word, str]:
    """Return whether a value lies within the limits of a metric, and that as a sentence."""
    if not math.isfinite(value):
        # 0/0 and 1/0 are what a rate of errors is without any traffic.
        return "unknown", f"{value} is no number to compare"
    if spec.max is not None and value > spec.max:
        return "bad", f"{value:g} is more than {spec.max:g}"
    if spec.min is not None and value < spec.min:
        return "bad", f"{value:g} is less than {spec.min:g}"
    return "good", f"{value:g} is within the limits"


def judged(spec: MetricSpec, measurements: Sequence[Measurement]) -> Verdict:
    """Return what all measurements of a metric say together.

    More bad ones than ``failure_limit`` are bad for good.  Otherwise the newest one decides
    whether the metric can be had, and any good one among them makes it good.
    """
    done = [one for one in measurements if one.state == "done"]
    counts = dict.fromkeys(("good", "bad", "unknown", "unavailable"), 0)
    for one in done:
        counts[one.word] += 1
    values = [one.value for one in done if one.value is not None]
    evidence: dict[str, Any] = {
        "source": spec.source,
        "max": spec.max,
        "min": spec.min,
        "failure_limit": spec.failure_limit,
        "measurements": counts,
        "last": values[-1] if values else None,
        "dry_run": spec.dry_run,
    }
    word: Word
    if counts["bad"] > spec.failure_limit:
        newest = next(one for one in reversed(done) if one.word == "bad")
        word = "bad"
        reason = f"{counts['bad']} of {len(done)} measurements were outside: {newest.reason}"
    elif not done:
        word, reason = "unknown", "nothing was measured yet"
    elif done[-1].word == "unavailable":
        word, reason = "unavailable", done[-1].reason
    elif counts["good"]:
        word, reason = "good", f"{counts['good']} of {len(done)} measurements were within"
    else:
        word, reason = "unknown", done[-1].reason
    return Verdict(word, reason, evidence, decides=not spec.dry_run)
