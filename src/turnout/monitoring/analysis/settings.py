"""The judge's numbers, in one place: frozen before the held-out traces were first run.

They were chosen on the development half of the traces of ``bench/analysis`` alone, which
prints this module's digest beside its figures.  Changing one means running both halves again.
"""

from __future__ import annotations

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

SPLIT_TOLERANCE = 1.25
"""The odds of the split may differ from those asked by this factor: clients who keep their
release do not come in equal shares."""
