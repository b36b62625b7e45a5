"""The guard of *bad*: would rates that merely move explain the counts as well as harm does?

The count test takes rates that are equal in both arms at each time.  Rates that move in each
arm by itself, by the minute or slowly, are another innocent explanation: count and exposure of
each arm and block (a cell) are then negative binomial, a Poisson count whose rate has a gamma
factor of mean 1 and shape k, so of coefficient of variation 1/sqrt(k).  Against the even
Poisson rate, with the common level put in at its estimate, such an explanation is worth

    ln BF(k) = sum over cells of ln NB(x; m, k) - ln Poisson(x; m),   m = exposure x level

and harm by the ratio r from block s on is worth, given the total,

    A(r, s) = ln r (candidate's count from s on) - (all counts) ln(1 + (r - 1) its share from s on)

Both see what the split alone does not: whether each arm is calm.  What is said is the least of
the count test's log e and ``ln(sum w A) - ln(1 + sum of odds x BF)``: harm beside all innocent
explanations together.  So it never says *bad* where the count test would not, whose promise at
any time is kept (Ville); and where rates do vary as one of the explanations has it, the ratio
is an e-value for it up to its odds, so alarms are at most alpha/odds (a Bayes factor against a
point of the null, Grünwald, de Heide and Koolen, "Safe testing", JRSS B 86, 2024; a mixture of
such is one against each; the estimated level makes it approximate).  Late beginnings *s* are
the mixture of Shin, Ramdas and Rinaldo (arXiv 2203.03532), with weights that sum to 1.

Evidence so strong that no plausible variation explains it need not wait for blocks to show
what they do: divided by the dispersion index ``1 + CV^2 x count of a block`` of the largest
variation that is thought of (quasi-likelihood: McCullagh and Nelder, section 9.2) it may pass.

A block in which both arms were far up together is an incident of what they share; there only
its split between them counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import median

from turnout.monitoring.analysis import counts, settings
from turnout.monitoring.analysis.guard import Block, Blocks

Cell = tuple[float, int]
"""What is counted of one arm in one block: exposure, weighed with what is allowed, and count."""


def guarded(plain: float, blocks: Blocks, age: float, *, latency: bool, allowed: float) -> float:
    """Return log e of harm that is left when moving rates are allowed for.

    Args:
        plain: The count test's log e.
        blocks: The counts by block; both arms have some.
        age: Seconds since the start.
        latency: Whether slow requests are counted; they move more, and for longer.
        allowed: The rate that the candidate may have, as a multiple of the control's.

    Returns:
        At most *plain*; *plain* itself where it speaks for no harm.
    """
    live = [b for b in (*blocks.closed, blocks.open) if b.candidate[0] and b.control[0]]
    if plain <= 0 or not live:
        return plain
    many = age / settings.BLOCK_S
    varies = settings.VARIES_LATENCY if latency else settings.VARIES_ERRORS
    most, least = next((cv, index) for until, cv, index in varies if many <= until)
    each = (sum(b.control[1] for b in live) + 0.5) / len(live)
    at_once = plain / max(least, 1 + most**2 * each)
    explained = settings.MOVES_LATENCY if latency else settings.MOVES_ERRORS
    known = many > settings.KNOWN_BLOCKS
    incident = _incidents(live)
    calm = [block for block, out in zip(live, incident, strict=True) if not out]
    shared = [block for block, out in zip(live, incident, strict=True) if out]
    innocent = [0.0]
    for move in explained:
        odds = move.odds * (settings.KNOWN_ODDS if known and not latency else 1.0)
        value = _moved(calm, move.shape, move.blocks, allowed)
        value += sum(_split(block, move.shape, allowed) for block in shared)
        innocent.append(math.log(odds) + value)
    # A latency that begins to be higher is what a drift looks like too: its level tells nothing.
    length = blocks.length / settings.BLOCK_S
    harm = plain if latency else _harm(live, incident, length, allowed)
    return min(plain, max(at_once, harm - counts.log_sum(innocent)))


def _harm(blocks: Sequence[Block], shared: Sequence[bool], length: float, allowed: float) -> float:
    """Return ln of the mean of exp A(r, s) over ratios and beginnings."""
    nothing = Block()
    calm = [nothing if out else block for block, out in zip(blocks, shared, strict=True)]
    whole = sum(b.candidate[1] + b.control[1] for b in calm)
    exposure = sum(allowed * b.candidate[0] + b.control[0] for b in calm)
    shares = _from_then([allowed * b.candidate[0] / max(1.0, exposure) for b in calm])
    hits = _from_then([b.candidate[1] for b in calm])
    left = [counts.waiting(place * length) for place in range(len(blocks) + 1)]
    found = []
    for (ratio, weight), waits in zip(settings.WORSE, settings.WAITS, strict=True):
        apart = _from_then(
            [
                _tilted(block, ratio, allowed) if out else 0.0
                for block, out in zip(blocks, shared, strict=True)
            ]
        )
        for place, (share, x, split) in enumerate(zip(shares, hits, apart, strict=True)):
            part = waits * (left[place - 1] - left[place]) if place else 1 - waits
            if part > 0:
                found.append(
                    math.log(weight * part)
                    + x * math.log(ratio)
                    - whole * math.log1p((ratio - 1) * share)
                    + split
                )
    return counts.log_sum(found)


def _from_then(values: Sequence[float]) -> list[float]:
    """Return of each place the sum from there on."""
    return list(accumulate(reversed(values)))[::-1]


def _tilted(block: Block, ratio: float, allowed: float) -> float:
    """Return ln of what harm explains better in one block, given how much was counted in it."""
    (a, x), (b, y) = _cells(block, allowed)
    return x * math.log(ratio) - (x + y) * math.log1p((ratio - 1) * a / (a + b))


def _moved(blocks: Sequence[Block], shape: float, many: int, allowed: float) -> float:
    """Return ln BF of rates that move every so *many* blocks, with this shape."""
    cells = [cell for block in _joined(blocks, many) for cell in _cells(block, allowed)]
    exposure = sum(n for n, _ in cells)
    if exposure <= 0:
        return 0.0
    level = (sum(x for _, x in cells) + 0.5) / exposure
    constant = shape * math.log(shape) - math.lgamma(shape)
    found = 0.0
    for n, x in cells:
        mean = level * n
        found += math.lgamma(shape + x) - (shape + x) * math.log(shape + mean) + mean + constant
    return found


def _split(block: Block, shape: float, allowed: float) -> float:
    """Return ln BF of arms that move apart in one block, given how much was counted in it."""
    (a, x), (b, y) = _cells(block, allowed)
    share = a / (a + b)
    # As gamma rates have it at equal exposure; at others, with the same variance of the share.
    whole = shape / (2 * share * (1 - share))
    return (
        _log_beta(whole * share + x, whole * (1 - share) + y)
        - _log_beta(whole * share, whole * (1 - share))
        - x * math.log(share)
        - y * math.log1p(-share)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _cells(block: Block, allowed: float) -> tuple[Cell, Cell]:
    return (allowed * block.candidate[0], block.candidate[1]), block.control


def _joined(blocks: Sequence[Block], many: int) -> Iterator[Block]:
    for start in range(0, len(blocks), many):
        joined = Block()
        for block in blocks[start : start + many]:
            joined = joined.plus(block.candidate, block.control)
        yield joined


def _incidents(blocks: Sequence[Block]) -> list[bool]:
    """Return of each block whether both arms were far over their own median in it."""
    found = [True] * len(blocks)
    for arm in ([b.candidate for b in blocks], [b.control for b in blocks]):
        usual = median(x / n for n, x in arm)
        for place, (n, x) in enumerate(arm):
            # Half a count keeps a median of 0 from making an incident of a single error.
            expected = n * usual + 0.5
            found[place] &= x - expected > settings.INCIDENT * math.sqrt(expected)
    return found
