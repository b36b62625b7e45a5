"""One measure of the router's, as it accumulates: counts, bets and blocks.

An error rate counts failed requests.  A latency quantile counts slow ones: the candidate's beyond
(1 + ``max_increase``) times the line, the control's beyond the line itself, where the line is the
control's quantile as it was seen before the chunk.  If the candidate's latencies are at most
that much longer, the first share is at most the second, and the test of :mod:`counts` applies
as it stands.  (The test holds for any line; that it is the quantile, estimated ever better, is
what Howard and Ramdas do in "Sequential estimation of quantiles", Bernoulli 28, 2022.)  Bounds
of a histogram are rounded so that the test can only get more careful.

Where a service is steady, nothing is beyond these lines in either arm, and comparing them says
nothing.  So *good* has a second bet: if the candidate's quantile were beyond what is tolerated,
more than ``1 - quantile`` of its answers would be slower than the tolerated multiple of the
least that the control's quantile can be, to the width of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from turnout.monitoring.analysis import bands, counts, guard, settings
from turnout.monitoring.analysis.policy import Measure
from turnout.monitoring.analysis.ticks import (
    ArmCounts,
    Histogram,
    Tick,
    bound_at_least,
    bound_at_most,
    not_slower,
    quantile,
)


@dataclass(frozen=True)
class Lines:
    """Where *slow* begins, in milliseconds; None where there is no such bound yet.

    Attributes:
        control: For the control.
        worse: For the candidate, in the test that it is worse.
        better: For the candidate, in the test that it is not.
        alone: For the candidate, in the test that its own share of slow answers is too small
            for that.
        above: For the candidate against its absolute limit, in the test that it exceeds it.
        below: Likewise, in the test that it does not.
    """

    control: float | None = None
    worse: float | None = None
    better: float | None = None
    alone: float | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Chunk:
    """What came since the last bet; each count belongs to one test."""

    since: float | None = None
    candidate: int = 0
    control: int = 0
    hits: int = 0
    """The control's errors or slow requests."""
    worse: int = 0
    better: int = 0
    alone: int = 0
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class Rate:
    """The state of one measure.

    Attributes:
        lines: Of a latency, for the chunk that runs.
        chunk: What has not been bet on yet.
        worse: Log e against "no worse than allowed".
        better: Log e against "at least as much worse as is tolerated".
        alone: Of a latency, log e against the same from the candidate's answers alone.
        above: Log e against "within the absolute limit".
        below: Log e against "beyond the absolute limit".
        blocks: Counts by minute, for the dispersion guard.
        peak: The highest log e so far, not guarded.
        peak_at: When that was.
    """

    lines: Lines = Lines()
    chunk: Chunk = Chunk()
    worse: counts.Logs = field(default_factory=lambda: counts.start(settings.WORSE))
    better: counts.Logs = field(default_factory=lambda: counts.start(settings.BETTER))
    alone: counts.Logs = field(default_factory=lambda: counts.start(settings.BETTER))
    above: counts.Logs = field(default_factory=lambda: counts.start(settings.WORSE))
    below: counts.Logs = field(default_factory=lambda: counts.start(settings.BETTER))
    blocks: guard.Blocks = field(default_factory=guard.Blocks)
    peak: float = 0.0
    peak_at: float | None = None


def log_harm(measure: Measure, rate: Rate) -> float:
    """Return log e against "no harm", not guarded: the mean over the limits that are set."""
    return counts.log_mean([log for log in limits_logs(measure, rate) if log is not None])


def limits_logs(measure: Measure, rate: Rate) -> tuple[float | None, float | None]:
    """Return log e against "no worse than allowed" and "within the limit"; None: not asked."""
    return (
        None if measure.max_increase is None else counts.mixed(rate.worse, settings.WORSE),
        None if measure.max is None else counts.mixed(rate.above, settings.WORSE),
    )


def log_fine(measure: Measure, rate: Rate) -> float:
    """Return log e against "harm beyond the tolerance", not guarded: the least over the limits."""
    found = []
    if measure.max_increase is not None:
        logs = [counts.mixed(rate.better, settings.BETTER)]
        if measure.kind == "latency":
            logs.append(counts.mixed(rate.alone, settings.BETTER))
        found.append(counts.log_mean(logs))
    if measure.max is not None:
        found.append(counts.mixed(rate.below, settings.BETTER))
    return min(found)


def observe(
    measure: Measure,
    rate: Rate,
    tick: Tick,
    before: float,
    begin: float,
    candidate: ArmCounts,
    control: ArmCounts,
) -> Rate:
    """Return the state after one more tick.

    Args:
        measure: What is measured.
        rate: Its state so far.
        tick: What was counted.
        before: The end of the tick before.
        begin: When the first tick began.
        candidate: The arm's counts before this tick.
        control: Likewise.
    """
    chunk, lines = rate.chunk, rate.lines
    if chunk.since is None:
        chunk = Chunk(since=before)
        if measure.kind == "latency":
            lines = draw(measure, control, tick.candidate.latency or candidate.latency)
    chunk = _count(measure, lines, chunk, tick)
    age = tick.at - (before if chunk.since is None else chunk.since)
    rate = replace(rate, chunk=chunk, lines=lines)
    least = min(chunk.candidate, chunk.control if measure.max_increase is not None else 1 << 60)
    if least >= settings.CHUNK_REQUESTS or (least and age >= settings.CHUNK_S):
        return _bet(measure, rate, tick.at, begin, control)
    if age >= settings.CHUNK_GIVEN_UP_S:
        return replace(rate, chunk=Chunk())
    return rate


def draw(measure: Measure, control: ArmCounts, bounds: Histogram) -> Lines:
    """Return the lines that follow from what is known of the control.

    Args:
        measure: A latency.
        control: All that it has answered so far.
        bounds: A histogram of the candidate's, for its bounds.
    """
    above = below = None
    if measure.max is not None:
        above, below = bound_at_least(bounds, measure.max), bound_at_most(bounds, measure.max)
    line = None
    if measure.max_increase is not None and control.timed >= settings.TIMED_AT_LEAST:
        line = quantile(control, measure.quantile)
    if line is None or measure.max_increase is None:
        return Lines(above=above, below=below)
    least = _least(measure, control)
    return Lines(
        control=line,
        worse=bound_at_least(bounds, line * (1 + measure.max_increase)),
        better=bound_at_most(bounds, line * (1 + measure.within)),
        alone=None if least is None else bound_at_most(bounds, least * (1 + measure.within)),
        above=above,
        below=below,
    )


def _least(measure: Measure, control: ArmCounts) -> float | None:
    """Return the bound of the lowest bucket that the control's quantile can be in.

    None while little is known of it: a line far under it would lose the bet for ever.
    """
    low, high = bands.quantile(control, measure.quantile, settings.LEAST_ALPHA)
    if high is None:
        return None
    if low is None:
        return high if high == control.latency[0][0] else None
    return next((bound for bound, _ in control.latency if bound > low), None)


def _count(measure: Measure, lines: Lines, chunk: Chunk, tick: Tick) -> Chunk:
    arm, other = tick.candidate, tick.control or ArmCounts()
    if measure.kind == "errors":
        # An answer may be counted a tick after its request; it is one all the same.
        requests, others = max(arm.requests, arm.errors), max(other.requests, other.errors)
        found = Chunk(
            chunk.since,
            requests,
            others,
            other.errors,
            arm.errors,
            arm.errors,
            0,
            arm.errors,
            arm.errors,
        )
    else:
        found = Chunk(
            chunk.since,
            arm.timed,
            other.timed,
            _slower(other, lines.control),
            _slower(arm, lines.worse),
            _slower(arm, lines.better),
            _slower(arm, lines.alone),
            _slower(arm, lines.above),
            _slower(arm, lines.below),
        )
    return Chunk(
        chunk.since,
        chunk.candidate + found.candidate,
        chunk.control + found.control,
        chunk.hits + found.hits,
        chunk.worse + found.worse,
        chunk.better + found.better,
        chunk.alone + found.alone,
        chunk.above + found.above,
        chunk.below + found.below,
    )


def _slower(arm: ArmCounts, line: float | None) -> int:
    return 0 if line is None else arm.timed - not_slower(arm.latency, line)


def _bet(measure: Measure, rate: Rate, at: float, begin: float, control: ArmCounts) -> Rate:
    age, since = at - begin, (begin if rate.chunk.since is None else rate.chunk.since) - begin
    chunk, lines, errors = rate.chunk, rate.lines, measure.kind == "errors"
    other = (chunk.control, chunk.hits)
    worse, better, above, below = rate.worse, rate.better, rate.above, rate.below
    alone = rate.alone
    if measure.max_increase is not None:
        # A latency's margin is in its lines; an error rate's is added to the rate.
        base = base_rate(control) if errors else 1 - measure.quantile
        if errors or lines.worse is not None:
            margin = measure.max_increase if errors else 0.0
            worse = counts.worse(worse, (chunk.candidate, chunk.worse), other, base, margin, since)
        if errors or lines.better is not None:
            margin = measure.within if errors else 0.0
            better = counts.no_worse(better, (chunk.candidate, chunk.better), other, base, margin)
        if lines.alone is not None:
            alone = counts.below(alone, (chunk.candidate, chunk.alone), 1 - measure.quantile)
    if measure.max is not None:
        limit = measure.max if errors else 1 - measure.quantile
        if errors or lines.above is not None:
            above = counts.above(above, (chunk.candidate, chunk.above), limit)
        if errors or lines.below is not None:
            below = counts.below(below, (chunk.candidate, chunk.below), limit)
    hits = chunk.worse if measure.max_increase is not None else chunk.above
    blocks = rate.blocks
    if errors or lines.worse is not None or lines.above is not None:
        compared = other if measure.max_increase is not None else (0, 0)
        blocks = blocks.add(age, (chunk.candidate, hits), compared)
    rate = replace(
        rate,
        chunk=Chunk(),
        worse=worse,
        better=better,
        alone=alone,
        above=above,
        below=below,
        blocks=blocks,
    )
    log = log_harm(measure, rate)
    return replace(rate, peak=log, peak_at=at) if log > rate.peak else rate


def base_rate(control: ArmCounts) -> float:
    """Return the control's error rate as known so far, drawn towards a first guess."""
    return (control.errors + settings.BASE_REQUESTS * settings.BASE_ERRORS) / (
        max(control.requests, control.errors) + settings.BASE_REQUESTS
    )
