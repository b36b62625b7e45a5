"""When a failed step is tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.base.errors import (
    Aborted,
    Exhausted,
    InvalidInput,
    Refused,
    TurnoutError,
    Untrusted,
)

_HOPELESS = (Aborted, InvalidInput, Refused, Untrusted, Exhausted)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        attempts: Tries in all, the first one included.
        first_delay: Seconds before the second try, before jitter.
        longest_delay: Seconds that a delay never exceeds.
    """

    attempts: int = 5
    first_delay: float = 0.2
    longest_delay: float = 10.0

    def delay(self, failed_attempts: int, chance: float) -> float:
        """Return seconds to wait after *failed_attempts* tries.

        Exponential backoff with full jitter ("Exponential Backoff And Jitter", AWS
        Architecture Blog, 2015), but never under half the step, so that a host which is just
        restarting is not asked at once.

        Args:
            failed_attempts: Tries so far, at least 1.
            chance: A random number in [0, 1); passed in, for this module is pure.
        """
        ceiling = min(self.longest_delay, self.first_delay * 2.0 ** min(failed_attempts - 1, 30))
        return ceiling * (0.5 + 0.5 * chance)


def worth_retrying(error: TurnoutError) -> bool:
    """Return whether trying again could help."""
    return not isinstance(error, _HOPELESS) and not error.facts.get("final", False)
