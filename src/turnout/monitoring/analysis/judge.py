"""The judge: a fold over ticks, whose state is plain values and whose verdict may be asked any time.

    state = judge.start(policy)
    state = judge.observe(state, tick)
    verdict = judge.verdict(state)

It knows no clock and does no I/O: replaying recorded ticks under another policy gives exactly
what that policy would have said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from turnout.monitoring.analysis import opinions, rates, split, values
from turnout.monitoring.analysis.policy import Policy
from turnout.monitoring.analysis.ticks import ArmCounts, Tick
from turnout.monitoring.analysis.verdicts import Verdict, Word


@dataclass(frozen=True)
class State:
    """All that the judge remembers; see :mod:`codec` for its JSON.

    Attributes:
        policy: What is asked.
        begin: When the first tick began; None before it.
        at: The end of the newest tick.
        seen: The end of the newest tick for which every host could be asked.
        ticks: How many there were.
        candidate: All that the candidate answered.
        control: Likewise.
        rates: One of each router measure, by name.
        values: One of each measure from elsewhere, by name.
        split: The check of the split.
    """

    policy: Policy
    begin: float | None = None
    at: float = 0.0
    seen: float = 0.0
    ticks: int = 0
    candidate: ArmCounts = field(default_factory=ArmCounts)
    control: ArmCounts = field(default_factory=ArmCounts)
    rates: dict[str, rates.Rate] = field(default_factory=dict)
    values: dict[str, values.Values] = field(default_factory=dict)
    split: split.Split = field(default_factory=split.Split)


def start(policy: Policy, at: float | None = None) -> State:
    """Return the state before the first tick.

    Args:
        policy: What is asked of the release.
        at: When the first tick begins, on the ticks' clock; None: a second before its end.
    """
    return State(
        policy=policy,
        begin=at,
        at=at or 0.0,
        seen=at or 0.0,
        rates={m.name: rates.Rate() for m in policy.measures if m.kind != "value"},
        values={m.name: values.Values() for m in policy.measures if m.kind == "value"},
    )


def observe(state: State, tick: Tick) -> State:
    """Return the state after one more tick; the old one stays as it was.

    A tick that ends before the last one is taken as ending with it: clocks are set back at
    times, and what was counted still counts.
    """
    begin = tick.at - 1.0 if state.begin is None else state.begin
    before = begin if state.begin is None else state.at
    if tick.at < before:
        tick = replace(tick, at=before)
    control = tick.control or ArmCounts()
    changed = {
        measure.name: rates.observe(
            measure, state.rates[measure.name], tick, before, begin, state.candidate, state.control
        )
        for measure in state.policy.measures
        if measure.kind != "value"
    }
    measured = {
        measure.name: values.observe(measure, state.values[measure.name], tick.values)
        for measure in state.policy.measures
        if measure.kind == "value"
    }
    requests = tick.candidate.requests, control.requests
    return State(
        policy=state.policy,
        begin=begin,
        at=tick.at,
        seen=tick.at if tick.available else (begin if state.begin is None else state.seen),
        ticks=state.ticks + 1,
        candidate=state.candidate.plus(tick.candidate),
        control=state.control.plus(control),
        rates=changed,
        values=measured,
        split=split.observe(state.split, tick.share, *requests, tick.at - begin),
    )


def verdict(state: State) -> Verdict:
    """Return what is to be said by now, with its evidence."""
    policy = state.policy
    age = 0.0 if state.begin is None else state.at - state.begin
    mismatch, shares = opinions.of_split(policy, state.split, age)
    found = {}
    for measure in policy.measures:
        if measure.kind == "value":
            found[measure.name] = opinions.of_value(measure, state.values[measure.name])
        else:
            found[measure.name] = opinions.of_rate(
                policy,
                measure,
                state.rates[measure.name],
                state.candidate,
                state.control,
                age,
                mismatch,
            )
    deciding = {m.name: found[m.name] for m in policy.measures if not m.dry_run}
    together = _together(policy, deciding)
    word, reason = _word(state, deciding, mismatch, together)
    enough = bool(deciding) and all(opinion.enough for opinion in deciding.values())
    return Verdict(
        verdict=word,
        reason=reason,
        metrics={name: opinion.evidence for name, opinion in found.items()},
        evidence={
            "seconds": age,
            "ticks": state.ticks,
            "requests": {"candidate": state.candidate.requests, "control": state.control.requests},
            "min_requests": policy.min_requests,
            "alpha": policy.alpha,
            "beta": policy.beta,
            "log_e": together,
            "log_threshold": math.log(1 / policy.alpha),
            "split": shares,
            "unseen_seconds": state.at - state.seen,
        },
        enough=enough,
        sure=min((opinion.sure for opinion in deciding.values()), default=0.0),
    )


def suspicion(state: State) -> float:
    """Return how far the plain evidence is over its threshold; under 0 no rate can be *bad*.

    It costs a fraction of a verdict: what only waits for *bad* asks this first.
    """
    policy = state.policy
    found = [
        rates.log_harm(measure, state.rates[measure.name])
        + math.log(policy.share_of_alpha(measure))
        for measure in policy.measures
        if measure.kind != "value" and not measure.dry_run
    ]
    return opinions.total(found) - math.log(1 / policy.alpha) if found else -math.inf


def replay(ticks: Iterable[Tick], policy: Policy) -> list[tuple[float, Verdict]]:
    """Return what *policy* says after each recorded tick, with the tick's end."""
    return list(follow(ticks, policy))


def follow(ticks: Iterable[Tick], policy: Policy) -> Iterator[tuple[float, Verdict]]:
    """Yield what *policy* says after each tick, with the tick's end."""
    state = start(policy)
    for tick in ticks:
        state = observe(state, tick)
        yield state.at, verdict(state)


def _together(policy: Policy, deciding: dict[str, opinions.Opinion]) -> float:
    """Return log e of all measures together: their weighted mean, an e-value again.

    It reaches 1/alpha at the latest when one measure reaches its own part of the error, so it
    gives nothing away against a Bonferroni split (Vovk and Wang, "E-values: calibration,
    combination and applications", Ann. Stat. 49, 2021).
    """
    found = [
        opinion.log_e + math.log(policy.share_of_alpha(measure))
        for measure in policy.measures
        if (opinion := deciding.get(measure.name)) is not None and measure.kind != "value"
    ]
    return opinions.total(found) if found else 0.0


def _word(
    state: State, deciding: dict[str, opinions.Opinion], mismatch: bool, together: float
) -> tuple[Word, str]:
    policy = state.policy
    bad = [opinion for opinion in deciding.values() if opinion.word == "bad"]
    if bad:
        return "bad", "; ".join(opinion.reason for opinion in bad)
    if together >= math.log(1 / policy.alpha):
        worst = max(
            (o for o in deciding.values() if o.log_e > -math.inf), key=lambda opinion: opinion.log_e
        )
        return "bad", f"all measures together say so, most of all: {worst.reason}"
    if state.begin is not None and state.at - state.seen > policy.stale_after:
        return "unavailable", (
            f"not every host could be asked for {state.at - state.seen:.0f} seconds"
        )
    for word in ("unavailable", "unknown"):
        for opinion in deciding.values():
            if opinion.word == word:
                return opinion.word, opinion.reason
    if not deciding:
        return "unknown", "nothing is measured that decides"
    if mismatch:
        return "unknown", "the split is not as asked"
    return "good", "; ".join(opinion.reason for opinion in deciding.values())
