"""How traffic moves: facts, a release and options in, the whole list of steps out.

Pure.  ``strategies.plan(...)`` is what ``turnout plan`` prints and what a deployment runs;
``strategies.next_weight(...)`` is what a ``ramp`` step asks for each weight of its own.
"""

from turnout.strategies.plan import plan
from turnout.strategies.weights import Bounds, Evidence, next_weight

__all__ = ["Bounds", "Evidence", "next_weight", "plan"]
