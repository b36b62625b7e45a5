"""What the judge says: one of four words, why, and what it saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Word = Literal["good", "bad", "unknown", "unavailable"]


@dataclass(frozen=True)
class Verdict:
    """A verdict with its evidence; all of it plain JSON values.

    Attributes:
        verdict: ``good``: every measure is within its tolerance, proven.  ``bad``: at least one
            is worse than allowed, proven.  ``unknown``: neither.  ``unavailable``: what would
            have to be known could not be had.
        reason: One sentence for people.
        metrics: Measure to its own evidence.
        evidence: What concerns all of them.
        enough: Whether both arms had the requests that were asked for; with a verdict that is
            not *bad* this is what the end of a hold needs.
        sure: How sure it is that nothing is worse than the tolerance, from 0 to 1.
    """

    verdict: Word
    reason: str
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    enough: bool = False
    sure: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values: a ``wire.evidence.VerdictDocument``."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "metrics": self.metrics,
            "evidence": {**self.evidence, "enough": self.enough, "sure": self.sure},
        }
