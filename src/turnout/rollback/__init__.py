"""When to go back, to what, by which steps: facts in, a plan out.

Pure.  A manual rollback is a plan of its own in four phases; an automatic one takes back the
steps that a deployment has done.
"""

from turnout.rollback.drill import drill
from turnout.rollback.feasibility import Feasibility, Passed, feasibility
from turnout.rollback.plan import plan
from turnout.rollback.rehearsal import rehearsed
from turnout.rollback.selective import Version, compose
from turnout.rollback.undo import undo_plan

__all__ = [
    "Feasibility",
    "Passed",
    "Version",
    "compose",
    "drill",
    "feasibility",
    "plan",
    "rehearsed",
    "undo_plan",
]
