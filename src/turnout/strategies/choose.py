"""The choice that ``strategy = "auto"`` makes, by declared facts, and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.domain.facts import Revision, ScopeState
from turnout.wire.project import Intent
from turnout.wire.rollout import CanarySpec, Strategy

SUCCESSES = 3
"""Deployments that went well before a canary is chosen: until then nobody knows what this
environment looks like when all is well."""
SHARE = 0.1
"""The share of the traffic with which a canary has to have its evidence ..."""
LOOKS = 10
"""... this many times ``min_requests``, in half of the schedule's deadline."""


@dataclass(frozen=True)
class Choice:
    """A strategy and why.

    Attributes:
        strategy: Never ``auto``.
        intent: The project's intent with that strategy; a canary nobody scheduled is automatic.
        why: One sentence; empty when the project named the strategy itself.
    """

    strategy: Strategy
    intent: Intent
    why: str


def choose(state: ScopeState, revision: Revision, intent: Intent) -> Choice:
    """Return the strategy that *intent* names, or the one that fits if it leaves the choice.

    Args:
        state: The scope: its hosts, what is live, its traffic and its history.
        revision: What shall be live.
        intent: What the project asks for.
    """
    asked = intent.rollout.strategy
    if asked != "auto":
        return Choice(asked, intent, "")
    strategy, why = _fitting(state, revision, intent)
    rollout = intent.rollout.model_copy(update={"strategy": strategy})
    if strategy == "canary" and rollout.canary.steps == CanarySpec().steps:
        canary = rollout.canary.model_copy(update={"steps": "auto"})
        rollout = rollout.model_copy(update={"canary": canary})
    return Choice(
        strategy,
        intent.model_copy(update={"rollout": rollout}),
        f"Strategy chosen: {strategy}, because {why}.",
    )


def requests_needed(intent: Intent) -> float:
    """Return the live requests a minute with which a canary comes to a verdict in time."""
    analysis, auto = intent.rollout.analysis, intent.rollout.canary.auto
    return LOOKS * analysis.min_requests / (SHARE * auto.deadline / 2 / 60)


def _fitting(state: ScopeState, revision: Revision, intent: Intent) -> tuple[Strategy, str]:
    run = intent.component.run
    total = revision.instances * len(state.hosts)
    if (run is not None and run.exclusive) or (state.live is not None and state.live.exclusive):
        return "recreate", "the app cannot run twice at once (run.exclusive)"
    if state.live is None:
        return "blue-green", "nothing is live yet that it could be compared with"
    if run is not None and run.stateful:
        if total > 1:
            return "rolling", (
                "the app keeps state of its users (run.stateful) and has several instances:"
                " one after another is drained, and nobody is split between two releases"
            )
        return "blue-green", (
            "the app keeps state of its users (run.stateful) and has one instance:"
            " all of them move once"
        )
    needed = requests_needed(intent)
    traffic = state.requests_per_minute
    if traffic is not None and traffic >= needed and state.successes >= SUCCESSES:
        return "canary", (
            f"about {traffic:.0f} requests a minute and {state.successes} deployments that went"
            f" well are enough for a verdict (it takes {needed:.0f} and {SUCCESSES})"
        )
    return "blue-green", _too_little(state, needed)


def _too_little(state: ScopeState, needed: float) -> str:
    if state.successes < SUCCESSES:
        return (
            f"{state.successes} deployments went well here so far, and {SUCCESSES} make a"
            " history to judge a canary by"
        )
    if state.requests_per_minute is None:
        return "its traffic is not known, and a canary is judged by traffic"
    return (
        f"about {state.requests_per_minute:.0f} requests a minute are too few to judge a canary"
        f" by in time (it takes {needed:.0f})"
    )
