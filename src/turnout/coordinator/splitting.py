"""The split of a deployment under way, as its steps have made it: no host is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from turnout.coordinator.stepbook import Row
from turnout.domain.splits import weights_at
from turnout.domain.steps import Action, Plan, Step
from turnout.wire.api import SplitPart

_MOVES = (Action.SWITCH, Action.SWITCH_OFF)
_APPLIED = ("done", "undoing", "undo_failed")


def split_of(
    plan: Plan, rows: Sequence[Row], holds: Mapping[int, Mapping[str, Any]]
) -> tuple[SplitPart, ...]:
    """Return who has how much of the traffic now; over several hosts, the mean of them.

    Args:
        plan: The deployment's.
        rows: Of its steps, in their order.
        holds: Position to the state that a step which waits has kept.
    """
    steps = list(zip(plan.steps, rows, strict=False))
    by_host: dict[str, Mapping[str, int]] = {}
    for step, _ in steps:
        if step.action in _MOVES and step.host is not None and step.host not in by_host:
            by_host[step.host] = _before(step)
    left = set(by_host)
    for step, row in steps:
        if step.action is Action.RAMP and (weights := _ramped(step, holds.get(row["position"]))):
            by_host |= dict.fromkeys(left & set(step.args["hosts"]), weights)
        if step.action not in _MOVES or step.host not in left or row["status"] == "pending":
            continue
        if row["status"] == "undone":
            # The oldest that was taken back says what is there now.
            by_host[step.host] = _before(step)
            left.discard(step.host)
        elif row["status"] in _APPLIED:
            by_host[step.host] = dict(step.args.get("weights", {}))
    baseline = {
        (step.args.get("split") or {}).get("baseline")
        for step, _ in steps
        if step.action in (Action.SWITCH, Action.RAMP)
    }
    names = dict.fromkeys(name for weights in by_host.values() for name in weights)
    parts = []
    for name in names:
        role: Literal["candidate", "control", "live"] = "live"
        release = plan.live_release or plan.release
        if name == plan.revision:
            role, release = "candidate", plan.release
        elif name in baseline:
            role = "control"
        mean = sum(weights.get(name, 0) for weights in by_host.values()) / len(by_host)
        parts.append(SplitPart(revision=name, release=release, role=role, weight=round(mean)))
    order = ("candidate", "control", "live")
    return tuple(sorted(parts, key=lambda part: order.index(part.role)))


def _before(step: Step) -> Mapping[str, int]:
    """Return the split to which the undo of a step goes back; nothing for one that is off."""
    return dict(step.undo.args.get("weights", {})) if step.undo else {}


def _ramped(step: Step, state: Mapping[str, Any] | None) -> dict[str, int]:
    if not state or "weight" not in state:
        return {}
    split = step.args["split"]
    return weights_at(
        int(state["weight"]), split["candidate"], step.args["live"], split["baseline"]
    )
