"""The door to the strategies: picks the one that was asked for."""

from __future__ import annotations

from turnout.base.errors import InvalidInput
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.steps import Plan
from turnout.strategies import blue_green
from turnout.wire.project import Intent

_STRATEGIES = {"blue-green": blue_green.plan}


def plan(state: ScopeState, revision: Revision, intent: Intent) -> Plan:
    """Return every step that brings *revision* into the scope, with its undo.

    Args:
        state: The scope and its hosts as they are.
        revision: What shall be live.
        intent: What the project asks for: configuration, checks, strategy.

    Raises:
        InvalidInput: The strategy is not one of this version's.
    """
    strategy = intent.rollout.strategy
    if strategy not in _STRATEGIES:
        raise InvalidInput(
            f"This version cannot deploy with the strategy {strategy!r}",
            subject=state.scope,
            why="it knows blue-green",
            next_step="Use --strategy blue-green, or set it in turnout.toml.",
        )
    return _STRATEGIES[strategy](state, revision, intent)
