"""The diagrams and tables of ``docs/states.md``, made from what the code goes by.

``python -m turnout.coordinator.diagrams docs/states.md`` puts them anew between their marks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from turnout.coordinator.ledger import rollback_phase
from turnout.coordinator.stepbook import MODES
from turnout.coordinator.waits import MEANINGS, WAYS_OUT
from turnout.domain import transitions
from turnout.domain.phases import ROLLBACK_PHASES, Kind, Phase, phases_of
from turnout.domain.transitions import Status

_MARKED = re.compile(r"(<!-- made: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def states() -> str:
    """Return the states of a deployment or rollback."""
    return _mermaid(transitions.diagram().splitlines())


def phases(kind: Kind) -> str:
    """Return the phases of a deployment or rollback, and how each way through them ends."""
    names = [phase.value for phase in phases_of(kind)]
    return _mermaid(_phases(kind, names))


def step() -> str:
    """Return the states of one step."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    (begun, done, going_on), (undoing, undone, going_back) = MODES["do"], MODES["undo"]
    failed, undo_failed = going_on[1], going_back[1]
    lines += [
        f"    pending --> {begun}",
        f"    {begun} --> {done}",
        f"    {begun} --> {failed}",
        f"    {failed} --> {begun}: tried again",
        *(f"    {one} --> {undoing}: taken back" for one in (begun, done, failed)),
        f"    {undoing} --> {undone}",
        f"    {undoing} --> {undo_failed}",
        f"    {undo_failed} --> {undoing}: tried again",
        *(f"    {one} --> [*]" for one in ("pending", done, undone, undo_failed)),
    ]
    return _mermaid(lines)


def waits() -> str:
    """Return the table of what is waited for."""
    rows = ["| Wait | For | Ways out | When its deadline comes first |", "|---|---|---|---|"]
    for wait, ways in WAYS_OUT.items():
        what, then = MEANINGS[wait]
        rows.append(f"| `{wait}` | {what} | {', '.join(f'`{way}`' for way in ways)} | {then} |")
    return "\n".join(rows) + "\n"


def filled(document: str) -> str:
    """Return a document with everything that is made put anew between its marks."""
    made = {
        "states": states(),
        "deployment": phases(Kind.DEPLOYMENT),
        "rollback": phases(Kind.ROLLBACK),
        "step": step(),
        "waits": waits(),
    }
    return _MARKED.sub(lambda found: f"{found[1]}{made[found[2]]}{found[3]}", document)


def _phases(kind: Kind, names: list[str]) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {names[0]}"
    yield from (f"    {one} --> {two}" for one, two in pairwise(names))
    yield f"    {names[-1]} --> {Status.SUCCEEDED}"
    # Once the release is confirmed as live nothing is taken back any more.
    revocable = names[: names.index(Phase.VERIFICATION) + 1]
    back = [rollback_phase(phase).replace(".", "_") for phase in ROLLBACK_PHASES]
    yield from (f"    {one} --> {back[0]}: it fails or is aborted" for one in revocable)
    yield from (f"    {one} --> {two}" for one, two in pairwise(back))
    ends = [Status.FAILED, Status.ABORTED]
    if kind is Kind.DEPLOYMENT:
        ends += [Status.ROLLED_BACK, Status.REJECTED]
        frozen = "frozen"
        moving = names[names.index(Phase.PROMOTION) : len(revocable)]
        yield from (f"    {one} --> {frozen}: it fails past the line" for one in moving)
        yield from (f"    {frozen} --> {one}: retry or promote" for one in moving)
        yield f"    {frozen} --> {back[0]}: abort"
    yield from (f"    {back[-1]} --> {end}" for end in ends)
    yield from (f"    {end} --> [*]" for end in (Status.SUCCEEDED, *ends))


def _mermaid(lines: Iterator[str] | list[str]) -> str:
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def main() -> None:
    """Put everything that is made into the documents that are named."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
