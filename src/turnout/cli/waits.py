"""What a deployment waits for, and the commands that end the wait, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from turnout.cli.problems import visible
from turnout.cli.values import show_duration
from turnout.wire.api import WaitingFor

_COMMANDS = {"promote": "promote-now"}
"""Verbs of the API whose command has another name."""
_DO = {
    "approve": "says yes",
    "reject": "says no",
    "promote": "goes on without waiting",
    "abort": "takes it back",
    "pause": "stops the clock",
    "resume": "goes on",
    "retry": "tries again",
}


def ways_out(deployment: str, verbs: Iterable[str]) -> str:
    """Return the commands that end a wait, each with what it does."""
    return ", ".join(
        f"`turnout {_COMMANDS.get(verb, verb)} {deployment}` {_DO.get(verb, '')}".rstrip()
        for verb in verbs
    )


def waiting_lines(deployment: str, waiting: WaitingFor) -> Iterator[str]:
    """Yield what *deployment* waits for, until when, and what ends it."""
    name = f" '{waiting.name}'" if waiting.name else ""
    until = "" if waiting.until is None else f", at most until {_at(waiting.until)}"
    if waiting.kind == "frozen":
        yield visible(f"frozen behind the point of no return{name} since {_at(waiting.since)}")
    else:
        yield visible(f"waits for {waiting.kind}{name} since {_at(waiting.since)}{until}")
    if waiting.reason:
        yield visible(f"why:  {waiting.reason}")
    if waiting.ways_out:
        yield f"next: {ways_out(deployment, waiting.ways_out)}"


def event_line(deployment: str, kind: str, data: dict[str, Any]) -> str:
    """Return what an event about a wait, a decision or a verdict means; empty for all others."""
    said = _SAID.get(kind)
    return said(deployment, data) if said else ""


def _gate_waits(deployment: str, data: dict[str, Any]) -> str:
    name, kind = data.get("name", ""), data.get("kind_of_gate", "gate")
    if kind == "approval":
        return (
            f"waiting for approval '{name}': {ways_out(deployment, ('approve', 'reject'))}; "
            f"`turnout show {deployment} --evidence` shows what there is to know"
        )
    ways = ("abort",) if kind == "window" else ("promote", "abort")
    return f"waiting for {kind} '{name}': {ways_out(deployment, ways)}"


def _gate_opened(_deployment: str, data: dict[str, Any]) -> str:
    by = data.get("approved_by") or data.get("overridden_by")
    said = "approved" if data.get("approved_by") else "overridden" if by else "open"
    return f"gate '{data.get('name', '')}': {said}" + (f" by {by}" if by else "")


def _hold_started(_deployment: str, data: dict[str, Any]) -> str:
    seconds = data.get("seconds")
    least = f" for {show_duration(float(seconds))}" if isinstance(seconds, int | float) else ""
    weight = data.get("weight")
    return f"holding at {weight} %{least}" if weight else f"judging mirrored traffic{least}"


def _undecided(deployment: str, data: dict[str, Any]) -> str:
    return f"undecided: {data.get('reason', '')}; {ways_out(deployment, ('promote', 'abort'))}"


def _decided(_deployment: str, data: dict[str, Any]) -> str:
    what = str(data.get("what", "")).replace("-", " ")
    return f"decided: {what} at {data.get('weight', 0)} %: {data.get('reason', '')}"


def _frozen(deployment: str, data: dict[str, Any]) -> str:
    return (
        f"FROZEN: {data.get('reason', '')}; '{data.get('line', '')}' cannot be taken back, so the "
        f"traffic stays where it is; {ways_out(deployment, ('retry', 'promote', 'abort'))}"
    )


def _verdict(_deployment: str, data: dict[str, Any]) -> str:
    return f"verdict: {data.get('verdict', '')}: {data.get('reason', '')}"


_SAID = {
    "gate.waiting": _gate_waits,
    "gate.opened": _gate_opened,
    "hold.started": _hold_started,
    "hold.extended": _undecided,
    "decision.made": _decided,
    "deployment.frozen": _frozen,
    "verdict.changed": _verdict,
}


def _at(moment: Any) -> str:
    return str(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"))
