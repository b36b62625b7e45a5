"""Whether the split of the requests is as asked: a sample-ratio mismatch makes all else doubtful.

The sequential test of Lindon and Malek (arXiv 2011.03567) for two arms, against "the odds are
those asked, up to a tolerance": clients who keep their release bring unequal shares of the
requests, so small deviations are no fault.  Each side has its own mixture of alternatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from turnout.monitoring.analysis import guard, settings
from turnout.monitoring.analysis.counts import Logs, log_mean

_ODDS = (1.5, 2.0, 4.0, 16.0)
"""Alternatives: factors beyond the tolerance."""
_SAME = 1e-6


@dataclass(frozen=True)
class Split:
    """The state of the check.

    Attributes:
        share: What is asked, of both arms, for the candidate.
        more: Log e of the alternatives in which the candidate gets too much.
        less: Likewise, too little.
        candidate: Requests that it got while the split was known.
        control: Likewise.
        expected: What the candidate should have got of them.
        blocks: Both by minute.
        begin: Seconds from the start to the first tick with this share.
    """

    share: float | None = None
    more: Logs = (0.0,) * len(_ODDS)
    less: Logs = (0.0,) * len(_ODDS)
    candidate: int = 0
    control: int = 0
    expected: float = 0.0
    blocks: guard.Blocks = field(default_factory=guard.Blocks)
    begin: float = 0.0


def observe(split: Split, share: float | None, candidate: int, control: int, age: float) -> Split:
    """Return the state after a tick's requests; another share asked begins the check anew.

    Args:
        split: The state so far.
        share: The candidate's share that was asked; None, 0 or 1: there is nothing to check.
        candidate: Its requests.
        control: The control's.
        age: Seconds since the start.
    """
    if share is None or not 0 < share < 1 or candidate + control == 0:
        return split
    if split.share is None or abs(share - split.share) > _SAME:
        split = Split(share=share, begin=age)
    odds = share / (1 - share)
    return replace(
        split,
        more=_bet(split.more, candidate, control, odds * settings.SPLIT_TOLERANCE),
        less=_bet(split.less, control, candidate, settings.SPLIT_TOLERANCE / odds),
        candidate=split.candidate + candidate,
        control=split.control + control,
        expected=split.expected + share * (candidate + control),
        # Against what was asked, in thousandths: what is left is how the share itself moves.
        blocks=split.blocks.add(
            age - split.begin, (round(1000 * share * (candidate + control)), candidate), (0, 0)
        ),
    )


def factor(split: Split, age: float) -> float:
    """Return the dispersion guard's factor."""
    share = split.expected / max(1, split.candidate + split.control)
    return guard.factor(split.blocks, age - split.begin, scale=max(0.01, 1 - share))


def log_e(split: Split) -> float:
    """Return log e against "as asked", not guarded."""
    return log_mean((log_mean(split.more), log_mean(split.less)))


def _bet(logs: Logs, suspect: int, other: int, odds: float) -> Logs:
    """Bet against "the suspect's odds are at most *odds*"."""
    share = odds / (1 + odds)
    found = []
    for log, ratio in zip(logs, _ODDS, strict=True):
        guess = odds * ratio / (1 + odds * ratio)
        found.append(
            log
            + suspect * math.log(guess / share)
            + other * (math.log1p(-guess) - math.log1p(-share))
        )
    return tuple(found)
