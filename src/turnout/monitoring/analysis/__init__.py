"""The analysis: judges live traffic of a candidate against a control, at any time, with its proof.

In come ticks (counts of both arms) and a policy; out go verdicts with their evidence.  It is
pure: no clock, no I/O, no randomness, so a record can be replayed under another policy.

What *bad* means: the e-value against "the candidate is no worse than allowed" is 1/alpha or more.
For error rates, allowed is the control's rate plus ``max_increase``; for a latency quantile, the
control's times (1 + ``max_increase``); with ``max``, an absolute limit.  A release within that
is called bad with probability alpha at most, however often one looks.  *Good* means the same
kind of proof, at beta, that it is no worse than ``within``.  *Unknown*: neither, or not enough
requests, or a split that is not as asked.  *Unavailable*: the counts could not be had.
"""

from turnout.monitoring.analysis.codec import state_from_json, state_to_json
from turnout.monitoring.analysis.judge import (
    State,
    follow,
    observe,
    replay,
    start,
    suspicion,
    verdict,
)
from turnout.monitoring.analysis.policy import Measure, Policy, policy_from_json
from turnout.monitoring.analysis.ticks import (
    BOUNDS_MS,
    ArmCounts,
    Histogram,
    Tick,
    histogram,
    tick_from_json,
)
from turnout.monitoring.analysis.verdicts import Verdict, Word

__all__ = [
    "BOUNDS_MS",
    "ArmCounts",
    "Histogram",
    "Measure",
    "Policy",
    "State",
    "Tick",
    "Verdict",
    "Word",
    "follow",
    "histogram",
    "observe",
    "policy_from_json",
    "replay",
    "start",
    "state_from_json",
    "state_to_json",
    "suspicion",
    "tick_from_json",
    "verdict",
]
