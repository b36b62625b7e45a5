"""Mistakes in ``turnout.toml`` that no single key shows: keys that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from turnout.cli.filemodels import ProjectFile
from turnout.cli.locator import Path, Positions
from turnout.cli.mistakes import Mistake
from turnout.cli.rollout_tables import RolloutTable


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def check_whole(file: ProjectFile, positions: Positions) -> list[Mistake]:
    """Return what contradicts itself in *file*, whose text has *positions*."""
    mistakes = []
    if file.run is not None and file.run.command is None:
        where = positions.of_value(("run",))
        mistakes.append(Mistake.at(where, "run.command is missing"))
    mistakes += named_twice(file.checks, ("checks",), "checks", positions)
    if file.rollout is not None:
        mistakes += _of_rollout(file.rollout, ("rollout",), positions)
    for name, own in (file.environments or {}).items():
        here = ("environments", name)
        if own.run is not None and file.run is None:
            where = positions.of_key((*here, "run"))
            mistakes.append(Mistake.at(where, f"[{'.'.join(here)}.run] needs [run] above it"))
        if own.domains and len(set(own.domains)) != len(own.domains):
            where = positions.of_value((*here, "domains"))
            mistakes.append(Mistake.at(where, "a domain is given twice"))
        mistakes += _of_rollout(own, here, positions)
    return mistakes


def _of_rollout(table: RolloutTable, here: Path, positions: Positions) -> Iterator[Mistake]:
    yield from named_twice(table.gates, (*here, "gates"), "gates", positions)
    yield from named_twice(table.commands, (*here, "commands"), "commands", positions)
    metrics = table.analysis.metrics if table.analysis else None
    yield from named_twice(metrics, (*here, "analysis", "metrics"), "metrics", positions)
    steps = table.canary.steps if table.canary else None
    if isinstance(steps, list):
        for index, (before, after) in enumerate(pairwise(steps), start=1):
            if after.weight <= before.weight:
                where = positions.of_value((*here, "canary", "steps", index, "weight"))
                said = f"the weights of a canary rise, and {after.weight} follows {before.weight}"
                yield Mistake.at(where, said)


def named_twice(
    tables: Sequence[_Named] | None, here: Path, what: str, positions: Positions
) -> Iterator[Mistake]:
    """Yield a mistake for each name that an earlier one of *tables* has already."""
    names = [table.name for table in tables or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            where = positions.of_value((*here, index, "name"))
            yield Mistake.at(where, f"two {what} are named {name!r}")
