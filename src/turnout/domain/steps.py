"""A step: the smallest thing that is done, recorded, retried and undone.

A step says what must be so, so doing it twice is harmless.  Its arguments are plain JSON, for
a plan is printed, digested, stored and run from the same value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from turnout.domain.phases import Kind, Phase


class Action(StrEnum):
    """What a step does; how stands in the coordinator's effects."""

    CHECK_HOST = "check-host"
    SEAL = "seal"
    STAGE = "stage"
    BUILD_SITE = "build-site"
    START = "start"
    EXPOSE = "expose"
    AWAIT_READY = "await-ready"
    PROBE = "probe"
    CHECK = "check"
    BRIDGE = "bridge"
    SWITCH = "switch"
    GATE = "gate"
    COMMAND = "command"
    MIRROR = "mirror"
    UNMIRROR = "unmirror"
    HOLD = "hold"
    RAMP = "ramp"
    SWITCH_OFF = "switch-off"
    VERIFY = "verify"
    CONFIRM = "confirm"
    DRAIN = "drain"
    STOP = "stop"
    PRUNE = "prune"
    RECORD = "record"
    # Only ever the undo of another:
    DISCARD = "discard"
    UNSTAGE = "unstage"
    CONCEAL = "conceal"
    SWITCH_BACK = "switch-back"
    RESTORE = "restore"


@dataclass(frozen=True)
class Undo:
    """How a step is taken back."""

    action: Action
    title: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        phase: The phase it belongs to.
        action: What it does.
        title: One line for people.
        host: The host it works on; None for the server itself or all hosts.
        args: What the action needs, as plain JSON.
        undo: How it is taken back; None when there is nothing to take back.
        irreversible: Whether nothing before it is taken back by itself once it was begun.
    """

    phase: Phase
    action: Action
    title: str
    host: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    undo: Undo | None = None
    irreversible: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain JSON, to be read back by :func:`step_from_json`."""
        undo = None
        if self.undo is not None:
            undo = {
                "action": self.undo.action.value,
                "title": self.undo.title,
                "args": dict(self.undo.args),
            }
        value: dict[str, Any] = {
            "phase": self.phase.value,
            "action": self.action.value,
            "title": self.title,
            "host": self.host,
            "args": dict(self.args),
            "undo": undo,
        }
        if self.irreversible:
            # Left out otherwise: a plan that an older version stored keeps its digest.
            value["irreversible"] = True
        return value


@dataclass(frozen=True)
class Plan:
    """The whole list of steps of one deployment or rollback.

    Attributes:
        kind: Deployment or rollback.
        scope: ``project/environment``.
        strategy: The strategy that made it.
        release: The release that shall be live at its end.
        revision: That release with the configuration it runs with.
        live_release: The release that is live before it, if any.
        steps: In the order in which they run.
        notes: Remarks for people: what is unusual about this plan.
    """

    kind: Kind
    scope: str
    strategy: str
    release: str
    revision: str
    live_release: str | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def confirmed_at(self) -> int:
        """The position of the step behind which nothing is taken back any more."""
        return next(
            (at for at, step in enumerate(self.steps) if step.action is Action.CONFIRM),
            len(self.steps),
        )

    @property
    def no_return_at(self) -> int | None:
        """The position of the first step that cannot be taken back; None if there is none."""
        return next((at for at, step in enumerate(self.steps) if step.irreversible), None)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON, to be read back by :func:`plan_from_json`."""
        return {
            "kind": self.kind.value,
            "scope": self.scope,
            "strategy": self.strategy,
            "release": self.release,
            "revision": self.revision,
            "live_release": self.live_release,
            "steps": [step.to_json() for step in self.steps],
            "notes": list(self.notes),
        }

    def digest(self) -> str:
        """Return the SHA-256 of the canonical plan, to which approvals bind."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def step_from_json(value: Mapping[str, Any]) -> Step:
    """Return the step that :meth:`Step.to_json` wrote."""
    undo = value["undo"]
    return Step(
        phase=Phase(value["phase"]),
        action=Action(value["action"]),
        title=value["title"],
        host=value["host"],
        args=value["args"],
        undo=None if undo is None else Undo(Action(undo["action"]), undo["title"], undo["args"]),
        irreversible=value.get("irreversible", False),
    )


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """Return the plan that :meth:`Plan.to_json` wrote."""
    return Plan(
        kind=Kind(value["kind"]),
        scope=value["scope"],
        strategy=value["strategy"],
        release=value["release"],
        revision=value["revision"],
        live_release=value["live_release"],
        steps=tuple(step_from_json(step) for step in value["steps"]),
        notes=tuple(value["notes"]),
    )
