"""The judge's numbers, in one place: frozen before the held-out traces were first run.

They were chosen on the development half of the traces of ``bench/analysis`` alone, which
prints this module's digest beside its figures.  Changing one means running both halves again.
"""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """A way in which healthy rates move, and the odds that it is given beside even rates.

    Attributes:
        blocks: For so many blocks a rate stays as it is.
        shape: Of its gamma factor: 1 is a coefficient of variation of 1, 2.5 one of 0.63.
        odds: The weight of this explanation; the larger, the more it takes to say *bad*.
    """

    blocks: int
    shape: float
    odds: float


WORSE = ((1.4, 0.01), (1.8, 0.43), (3.0, 0.49), (8.0, 0.05), (30.0, 0.02))
"""Alternatives of harm: the rate as a multiple of the highest that is allowed, and its weight.
Most of the weight lies where rates double or treble; chosen on the development traces of
``bench/analysis``, see there."""
WAITS = (0.0, 0.0, 0.47, 0.0, 0.0)
"""Of each, the part of its weight that waits for harm that begins late.  Smaller harm that begins
late is hardly found in time, and larger harm is found by the bet on treble."""
LATEST = 32
"""Minutes within which all that waits has begun to bet: longer than usual holds and watches."""
FIRST_LATE = 5
"""The weight that begins in minute k is proportional to 1/(k + this)."""
BETTER = ((0.85, 0.2), (0.7, 0.2), (0.5, 0.3), (0.25, 0.2), (0.05, 0.1))
"""Alternatives of no harm: as a multiple of the rate from which on it would be."""

MOVES_ERRORS = (Move(1, 1.0, 0.2), Move(1, 2.5, 0.1))
"""Error rates may move by the minute."""
KNOWN_BLOCKS = 4
"""In the first blocks counts can hardly show how calm a service is, and the odds above weigh
what a late alarm costs against a wrong one.  From then on calm arms speak for themselves ..."""
KNOWN_ODDS = 6.0
"""... and the odds are multiplied by this, so that all of them together are even or more."""
MOVES_LATENCY = (Move(1, 1.0, 0.5), Move(4, 1.0, 1.0), Move(4, 2.5, 1.0), Move(10, 1.0, 4.0))
"""Latencies drift, in each instance by itself and for minutes (load, caches, garbage): what looks
like many slow requests is then few independent observations.  Even odds or more from the start."""

VARIES_ERRORS = ((1.0, 0.55, 2.0), (3.0, 0.85, 3.0), (float("inf"), 2.0, 3.0))
"""Until so many blocks, the largest coefficient of variation of a block's rate that evidence which
passes at once has to allow for, and the least by which it is divided: a control that had few
errors in its first minutes need not be a calm one."""
VARIES_LATENCY = ((3.0, 0.0, 12.0), (float("inf"), 2.5, 3.0))
"""Likewise of the share of slow requests.  At first a fixed index, whatever the traffic: a release
that is several times as slow has to be found in seconds where there is much of it."""

BLOCK_S = 60.0
"""Seconds of a block of the dispersion guard: error rates of real services move by the minute."""
BLOCKS_KEPT = 64
"""Blocks of a measure that are kept; at that, pairs of them become one.  Even."""

EARLY = ((1.0, 2.1), (3.4, 2.5))
"""While there are at most so many blocks, at least such a dispersion is assumed: nothing has
been seen yet that speaks against it."""
PRIOR = 1.5
"""The dispersion that one degree of freedom speaks for before there is data."""
SLOPE = 4.0
"""How steeply the factor rises once the index leaves its noise.  Steeper than 1 because an
estimate of 1.3 from few blocks is either chance (and 1 is right) or a rate that moves (and then
2 to 4 is)."""
NOISE = 0.6
"""Times 1/sqrt(degrees of freedom): what the index may exceed 1 by chance."""
SUSPECT_FADES = 10.0
"""In blocks: for so long the candidate's own dispersion counts when it is the larger one."""
CALM = 5.0
"""Divided by the degrees of freedom: what the index may exceed the control's own."""
LONG = 1.0
"""How much of the correlation of successive blocks enters the factor."""
CORRELATED_FROM = 5
"""Blocks from which on that correlation is estimated."""
MOST_CORRELATED = 0.85
"""The largest that is believed."""
INCIDENT = 3.0
"""Standard deviations that both arms are up by in an incident that they share."""
ROUNDS = 3
"""Rounds in which such blocks are set aside before the means are taken."""

CHUNK_REQUESTS = 50
"""A chunk of traffic is bet on once each arm has so many requests ..."""
CHUNK_S = 10.0
"""... or once it is so old and both have some.  Smaller chunks lose what their random split
hides, longer ones lose time."""

CHUNK_GIVEN_UP_S = 300.0
"""A chunk that is so old and had traffic on one side alone compares nothing, and is dropped."""

BASE_REQUESTS = 100
"""Requests whose weight the first guess of a base rate has."""
BASE_ERRORS = 0.01
"""That first guess of an error rate."""
TIMED_AT_LEAST = 50
"""Control requests before one of its quantiles is used as the line for the next chunk."""

LEAST_ALPHA = 0.001
"""How often the control's quantile may be under the bucket that is taken for its lowest."""

SPLIT_TOLERANCE = 1.25
"""The odds of the split may differ from those asked by this factor: clients who keep their
release do not come in equal shares."""
