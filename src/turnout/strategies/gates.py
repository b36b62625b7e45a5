"""Where the gates of a project stand in a plan."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step
from turnout.wire.project import Intent
from turnout.wire.rollout import GateSpec

_ASKED = ("confirm-rollout", "confirm-promotion")
"""Hooks that a deployment waits for; the others are called during holds, or only told."""
_SAID = {
    "approval": "wait for approval '{}'",
    "command": "ask the command '{}'",
    "webhook": "ask the webhook '{}'",
    "window": "wait for the time window '{}'",
}


def before_phase(intent: Intent, phase: Phase) -> Iterator[Step]:
    """Yield the gates that stand before a phase."""
    for gate in intent.rollout.gates:
        if _place(gate) == phase.value:
            yield from _step(gate, phase)


def before_weight(intent: Intent, reached: int, weight: int) -> Iterator[Step]:
    """Yield the gates between two weights of the candidate.

    Args:
        intent: Whose gates.
        reached: Percent that it has.
        weight: Percent that it gets next; 100 is the ``switch``.
    """
    for gate in intent.rollout.gates:
        threshold = threshold_of(gate)
        if threshold is not None and reached < threshold <= weight:
            yield from _step(gate, Phase.PROMOTION)


def thresholds(intent: Intent) -> list[int]:
    """Return the weights that a gate stands before, ascending."""
    found = {
        threshold
        for gate in intent.rollout.gates
        if (threshold := threshold_of(gate)) is not None and list(_step(gate, Phase.PROMOTION))
    }
    return sorted(found)


def threshold_of(gate: GateSpec) -> int | None:
    """Return the weight that *gate* stands before; None if it stands before a phase."""
    place = _place(gate)
    if place == "switch":
        return 100
    kind, _, number = place.partition(":")
    # Any weight above 0 is the first traffic; more than all is all.
    return min(max(int(number), 1), 100) if kind == "weight" else None


def before_time(intent: Intent) -> Iterator[Step]:
    """Yield the gate that keeps traffic where it is until the moment that was asked for."""
    when = intent.rollout.switch_at
    if when is not None:
        text = when.isoformat() + ("" if when.tzinfo else "+00:00")
        yield Step(
            Phase.PROMOTION,
            Action.GATE,
            f"wait until {text}",
            args={"name": "switch-at", "kind": "at", "at": text},
        )


def _place(gate: GateSpec) -> str:
    # A hook that confirms the promotion is about all traffic, unless it says another place.
    if (
        gate.kind == "webhook"
        and gate.hook == "confirm-promotion"
        and gate.before == GateSpec.model_fields["before"].default
    ):
        return "switch"
    return gate.before


def _step(gate: GateSpec, phase: Phase) -> Iterator[Step]:
    if gate.kind != "webhook" or gate.hook in _ASKED:
        yield Step(
            phase,
            Action.GATE,
            _SAID[gate.kind].format(gate.name),
            args=gate.model_dump(mode="json"),
        )
