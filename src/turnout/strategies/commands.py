"""When the commands of a project run: reversible ones early, irreversible ones late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import dropwhile, takewhile
from typing import Literal

from turnout.domain.facts import HostState
from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step
from turnout.wire.project import Intent
from turnout.wire.rollout import CommandSpec

LINE = " (point of no return)"
"""What marks an irreversible step for people."""

When = Literal["before-switch", "after-switch"]


def early(intent: Intent, when: When) -> tuple[CommandSpec, ...]:
    """Return the commands before the first irreversible one, in their order."""
    return tuple(takewhile(lambda spec: not spec.irreversible, _of(intent, when)))


def late(intent: Intent, when: When) -> tuple[CommandSpec, ...]:
    """Return the first irreversible command and what follows it."""
    return tuple(dropwhile(lambda spec: not spec.irreversible, _of(intent, when)))


def run(host: HostState, specs: Iterable[CommandSpec], phase: Phase) -> Iterator[Step]:
    """Yield the steps that run commands once, on one host."""
    for spec in specs:
        yield Step(
            phase,
            Action.COMMAND,
            f"run '{spec.name}' on {host.name}" + (LINE if spec.irreversible else ""),
            host.name,
            spec.model_dump(mode="json"),
            irreversible=spec.irreversible,
        )


def _of(intent: Intent, when: When) -> list[CommandSpec]:
    return [spec for spec in intent.rollout.commands if spec.when == when]
