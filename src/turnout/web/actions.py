"""What people may ask of a deployment: each action, whether it is possible now, and if not why.

The coordinator decides; this only keeps the page from offering what it would refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from turnout.domain.transitions import ENDED, Status
from turnout.web.ports import Verb
from turnout.web.words import say, short
from turnout.wire.api import DeploymentDetail, EnvironmentDocument

Asked = Verb | Literal["rollback"]
VERBS: tuple[Verb, ...] = ("pause", "resume", "promote", "approve", "reject", "abort", "retry")


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        label: On its button.
        why_not: Why it is not possible now; empty if it is.
        warning: What will happen, shown before it is confirmed; empty: no confirmation is asked.
        danger: It takes something away from users or cannot be taken back.
        fields: Hidden values that say what the page showed when it was pressed.
    """

    verb: Asked
    label: str
    why_not: str = ""
    warning: str = ""
    danger: bool = False
    fields: tuple[tuple[str, str], ...] = ()


def actions(
    detail: DeploymentDetail, environment: EnvironmentDocument | None
) -> tuple[Action, ...]:
    """Return the actions that make sense for a deployment, in their order on the page.

    Args:
        detail: The deployment.
        environment: Where it went, if that could be read.
    """
    if Status(detail.status) in ENDED:
        return _again(detail), _rollback(detail, environment)
    stuck = _committed(detail) or _going_back(detail)
    return (
        _pause_or_resume(detail, stuck),
        _promote(detail, stuck),
        *_answers(detail),
        _retry(detail),
        Action(
            "abort",
            "Abort",
            why_not=stuck,
            warning="Everything that it did is taken back, newest first; what was live before "
            "serves all traffic again.",
            danger=True,
        ),
    )


def _pause_or_resume(detail: DeploymentDetail, stuck: str) -> Action:
    if detail.status == "paused" or "resume" in _ways(detail):
        return Action("resume", "Resume")
    return Action("pause", "Pause", why_not=stuck)


def _promote(detail: DeploymentDetail, stuck: str) -> Action:
    waits = detail.waiting_for is not None or bool(detail.split)
    why_not = stuck
    if not why_not and not waits and "promote" not in _ways(detail):
        why_not = "Nothing is held back that could be skipped."
    return Action(
        "promote",
        "Promote now",
        why_not=why_not,
        warning="The rest of the schedule and its analysis is skipped: the new release gets all "
        "traffic at once. Approvals are still asked for.",
        danger=True,
    )


def _answers(detail: DeploymentDetail) -> tuple[Action, Action]:
    waiting = detail.waiting_for
    asked = (waiting is not None and waiting.kind == "approval") or "approve" in _ways(detail)
    why_not = "" if asked else "It does not wait for an approval."
    fields = (("digest", detail.plan_digest),) if detail.plan_digest else ()
    return (
        Action(
            "approve",
            "Approve",
            why_not=why_not,
            warning="Your approval is bound to the plan on this page and recorded with your name.",
            fields=fields,
        ),
        Action(
            "reject",
            "Reject",
            why_not=why_not,
            warning="The deployment ends as rejected, and what it did is taken back.",
            danger=True,
            fields=fields,
        ),
    )


def _retry(detail: DeploymentDetail) -> Action:
    failed = any("failed" in step.status for step in detail.steps)
    possible = failed or "retry" in _ways(detail)
    return Action("retry", "Retry", why_not="" if possible else "No step has failed.")


def _again(detail: DeploymentDetail) -> Action:
    what = "rollback" if detail.kind == "rollback" else "deployment"
    return Action(
        "retry",
        "Roll back again" if detail.kind == "rollback" else "Deploy again",
        warning=f"A new {what} of {short(detail.release)} to {detail.environment} begins, with "
        "the same request.",
    )


def _rollback(detail: DeploymentDetail, environment: EnvironmentDocument | None) -> Action:
    previous = environment.previous_release if environment else None
    if environment is None:
        why_not = "What is live now could not be read."
    elif detail.status != "succeeded":
        why_not = f"It ended as {say(detail.status)}: there is nothing to go back from."
    elif environment.live_release != detail.release:
        why_not = "Its release is no longer live."
    elif previous is None:
        why_not = "No earlier release is kept."
    else:
        why_not = ""
    return Action(
        "rollback",
        "Roll back",
        why_not=why_not,
        warning=f"{detail.environment} goes back to {short(previous)}. "
        "A deployment that is under way there is aborted.",
        danger=True,
        fields=(("to", previous),) if previous else (),
    )


def _ways(detail: DeploymentDetail) -> tuple[str, ...]:
    return detail.waiting_for.ways_out if detail.waiting_for else ()


def _committed(detail: DeploymentDetail) -> str:
    confirmed = any(step.action == "confirm" and step.status == "done" for step in detail.steps)
    return "The release is confirmed as live already." if confirmed else ""


def _going_back(detail: DeploymentDetail) -> str:
    undoing = (detail.phase or "").startswith("rollback.")
    return "It is being taken back already." if undoing else ""
