"""A circuit breaker: after repeated failures it stops asking for a while.

After Nygard, "Release It!" (2nd ed., 2018), chapter 5: closed, open, half-open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Breaker:
    """The state of one circuit; every method returns the next state or a fact of this one.

    Attributes:
        threshold: Failures in a row that open it.
        rest: Seconds for which it stays open.
        failures: Failures in a row so far.
        opened_at: Monotonic seconds when it opened; None while closed.
    """

    threshold: int = 5
    rest: float = 5.0
    failures: int = 0
    opened_at: float | None = None

    def closed_in(self, now: float) -> float:
        """Return seconds until a call may be tried; 0 when one may be tried now."""
        if self.opened_at is None:
            return 0.0
        return max(0.0, self.opened_at + self.rest - now)

    def succeeded(self) -> Breaker:
        """Return the state after a call that went well."""
        return replace(self, failures=0, opened_at=None)

    def failed(self, now: float) -> Breaker:
        """Return the state after a call that failed; a failed trial opens it again."""
        failures = self.failures + 1
        opened = now if failures >= self.threshold else None
        return replace(self, failures=failures, opened_at=opened)
