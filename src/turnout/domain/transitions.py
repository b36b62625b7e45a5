"""The legal states of a deployment and how one follows another."""

from __future__ import annotations

from enum import StrEnum

from turnout.base.errors import Conflict


class Status(StrEnum):
    """Where a deployment stands; the values are those of the command-line contract."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    REJECTED = "rejected"

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return not LEGAL[self]


LEGAL: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.ABORTED, Status.FAILED, Status.REJECTED}),
    Status.RUNNING: frozenset(
        {
            Status.WAITING,
            Status.PAUSED,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.ROLLED_BACK,
            Status.ABORTED,
            Status.REJECTED,
        }
    ),
    Status.WAITING: frozenset(
        {Status.RUNNING, Status.PAUSED, Status.FAILED, Status.ROLLED_BACK, Status.ABORTED,
         Status.REJECTED}
    ),
    Status.PAUSED: frozenset(
        {Status.RUNNING, Status.FAILED, Status.ROLLED_BACK, Status.ABORTED}
    ),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.ROLLED_BACK: frozenset(),
    Status.ABORTED: frozenset(),
    Status.REJECTED: frozenset(),
}  # fmt: skip

ENDED = frozenset(status for status, following in LEGAL.items() if not following)
UNDER_WAY = frozenset(LEGAL) - ENDED - {Status.QUEUED}


def check_transition(deployment: str, old: Status, new: Status) -> None:
    """Raise unless *new* may follow *old*; staying in a state is always legal.

    Raises:
        Conflict: It may not.
    """
    if new is not old and new not in LEGAL[old]:
        raise Conflict(
            f"A deployment that is {old} cannot become {new}",
            subject=deployment,
            next_step=f"Look at it with 'turnout show {deployment}'.",
        )


def diagram() -> str:
    """Return the states and how one follows another as a mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.QUEUED}"]
    for old, following in LEGAL.items():
        lines += [f"    {old} --> {new}" for new in Status if new in following]
    lines += [f"    {status} --> [*]" for status in Status if status.ended]
    return "\n".join(lines) + "\n"
