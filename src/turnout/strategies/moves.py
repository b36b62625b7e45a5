"""What a hold does next: pure, from its rules, the time that passed and the verdict.

After the contract of the command line: a hold is a minimum.  A bad verdict goes back at once,
for the judge may look at any time and still keep its promise.  At the end of the hold a good
one goes on, and so does one that is not bad after enough requests; anything else extends the
hold, and when that is over ``on_unknown`` or ``on_unavailable`` says what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from turnout.wire.evidence import VerdictWord
from turnout.wire.rollout import Reaction


class Move(StrEnum):
    """What follows."""

    WAIT = "wait"
    EXTEND = "extend"
    GO_ON = "go-on"
    ABORT = "abort"
    ASK = "ask"
    """A human decides; nothing moves until then."""


@dataclass(frozen=True)
class Rules:
    """The rules of one hold; times in seconds.

    Attributes:
        seconds: It is held at least so long.
        most: It is held at most so long while the verdict decides nothing.
        min_requests: So many requests of the candidate and no bad verdict are enough.
        on_unknown: What follows when the verdict is still unknown at the end of *most*.
        on_unavailable: The same when the measurements are unavailable.
        judged: Whether anything is judged; if not, only time counts.
    """

    seconds: float
    most: float
    min_requests: int
    on_unknown: Reaction
    on_unavailable: Reaction
    judged: bool = True


@dataclass(frozen=True)
class Seen:
    """What was seen so far.

    Attributes:
        elapsed: Seconds of the hold, pauses not counted.
        requests: Of the candidate.
        verdict: The judge's.
        reason: Why it says so.
        trusted: Whether what was counted can be trusted; a split that is not as asked cannot.
        promoted_by: Who asked to go on now; empty for nobody.
    """

    elapsed: float
    requests: int = 0
    verdict: VerdictWord = "unknown"
    reason: str = ""
    trusted: bool = True
    promoted_by: str = ""


@dataclass(frozen=True)
class Next:
    """A move and why."""

    move: Move
    reason: str


def next_move(rules: Rules, seen: Seen) -> Next:
    """Return what a hold does next."""
    if seen.promoted_by:
        return Next(Move.GO_ON, f"{seen.promoted_by} asked to promote now")
    if rules.judged and seen.verdict == "bad":
        return Next(Move.ABORT, seen.reason)
    if seen.elapsed < rules.seconds:
        return Next(Move.WAIT, f"held for at least {rules.seconds:g} s")
    if not rules.judged:
        return Next(Move.GO_ON, f"held for {rules.seconds:g} s")
    if seen.verdict == "good":
        return Next(Move.GO_ON, seen.reason)
    enough = seen.trusted and seen.requests >= rules.min_requests
    if seen.verdict == "unknown" and enough:
        return Next(Move.GO_ON, f"not bad after {seen.requests} requests")
    if seen.elapsed < rules.most:
        return Next(Move.EXTEND, lacking(rules, seen))
    return Next(reaction(rules, seen), f"{lacking(rules, seen)}, after {seen.elapsed:.0f} s")


def reaction(rules: Rules, seen: Seen) -> Move:
    """Return what follows when the verdict decided nothing in all the time there was."""
    word = rules.on_unavailable if seen.verdict == "unavailable" else rules.on_unknown
    return {"hold": Move.ASK, "abort": Move.ABORT, "continue": Move.GO_ON}[word]


def lacking(rules: Rules, seen: Seen) -> str:
    """Return what a verdict is still lacking, for people."""
    if seen.verdict == "unavailable":
        return f"the measurements are unavailable: {seen.reason}".rstrip(": ")
    if seen.requests < rules.min_requests:
        return f"{seen.requests} of at least {rules.min_requests} requests were seen"
    return seen.reason or "the verdict is not known yet"
