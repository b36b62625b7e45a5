"""The door to the strategies: picks one, or the shorter way where nothing can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from turnout.base.errors import InvalidInput
from turnout.domain import parts
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.steps import Plan
from turnout.strategies import blue_green, canary, frame, recreate, rolling, simple
from turnout.strategies.choose import choose
from turnout.strategies.frame import Course
from turnout.wire.project import Intent

_COURSES: dict[str, Callable[[ScopeState, Revision, Intent], Course]] = {
    "blue-green": blue_green.course,
    "rolling": rolling.course,
    "canary": canary.course,
    "recreate": recreate.course,
}


def plan(state: ScopeState, revision: Revision, intent: Intent) -> Plan:
    """Return every step that brings *revision* into the scope, with its undo.

    Args:
        state: The scope and its hosts as they are.
        revision: What shall be live.
        intent: What the project asks for: configuration, checks, strategy.

    Raises:
        InvalidInput: The strategy does not fit the app, or its numbers do not fit each other.
    """
    choice = choose(state, revision, intent)
    _demand_fit(state, choice.strategy, choice.intent)
    why = (choice.why,) if choice.why else ()
    if parts.is_settled(state, revision) and {*intent.domains} == {*state.domains}:
        made = frame.settled(state, revision, choice.intent, choice.strategy)
        return replace(made, notes=(*why, *made.notes))
    course = _course(state, revision, choice.intent, choice.strategy)
    return frame.plan(state, revision, choice.intent, replace(course, notes=(*why, *course.notes)))


def _course(state: ScopeState, revision: Revision, intent: Intent, strategy: str) -> Course:
    if state.live is None:
        note = "First release of this environment: it goes live at once."
        return simple.course(state, revision, intent, strategy, (note,))
    if state.live.revision == revision.revision:
        # A repair: what is missing is started, and there is nothing to compare it with.
        return simple.course(state, revision, intent, strategy)
    return _COURSES[strategy](state, revision, intent)


def _demand_fit(state: ScopeState, strategy: str, intent: Intent) -> None:
    run = intent.component.run
    live = state.live
    if strategy == "recreate":
        return
    if (run is not None and run.exclusive) or (live is not None and live.exclusive):
        which = "the app" if run is not None and run.exclusive else "the live release"
        raise InvalidInput(
            f"The strategy {strategy!r} runs two releases side by side",
            subject=state.scope,
            why=f"{which} cannot run twice at once (run.exclusive)",
            next_step="Use the strategy 'recreate', which has a downtime, or 'auto', which"
            " picks it.",
        )
