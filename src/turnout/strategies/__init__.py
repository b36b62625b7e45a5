"""How traffic moves: facts, a release and options in, the whole list of steps out.

Pure.  ``strategies.plan(...)`` is what ``turnout plan`` prints and what a deployment runs.
"""

from turnout.strategies.plan import plan

__all__ = ["plan"]
