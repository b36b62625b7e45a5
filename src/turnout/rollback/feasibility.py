"""Whether a rollback is possible at all: asked before anything of it is planned."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from turnout.domain.facts import Revision, ScopeState
from turnout.wire.project import Intent


@dataclass(frozen=True)
class Passed:
    """A deployment that succeeded, or moved traffic, since the target was live.

    Attributes:
        deployment: Its identifier.
        release: What it brought.
        irreversible: The names of the commands that it began and that cannot be taken back.
    """

    deployment: str
    release: str
    irreversible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feasibility:
    """What speaks against a rollback, and what is to be known about it.

    Attributes:
        reasons: Why it cannot be done; empty when it can.
        crossed: What was done since that cannot be taken back: a human may go back all the same.
        warnings: What is different from the usual.
    """

    reasons: tuple[str, ...] = ()
    crossed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons and not self.crossed


def feasibility(
    state: ScopeState,
    target: Revision,
    intent: Intent,
    *,
    kept: bool,
    hosts: Collection[str],
    lacking: int = 0,
    since: Sequence[Passed] = (),
    forced: bool = False,
) -> Feasibility:
    """Return whether *target* can be brought back.

    Args:
        state: The scope and the hosts that *target* would run on, as they are.
        target: What shall be live again.
        intent: The configuration with which it was live.
        kept: Whether the store still has the release.
        hosts: All hosts that there are now.
        lacking: How many of its files the store has lost, as a damaged disk may lose them.
        since: What was deployed after *target* was live, oldest first.
        forced: Whether a human wants to go back past the point of no return.
    """
    reasons, crossed, warnings = list[str](), list[str](), list[str]()
    if not kept:
        reasons.append(
            f"release {target.release[:12]} is not kept any more; deploy its files again"
        )
    missing = [name for name in intent.hosts if name not in hosts]
    if missing:
        reasons.append(
            f"its configuration names hosts that are not there any more: {', '.join(missing)}"
        )
    if kept and lacking:
        # Hosts that hold the release need nothing from the store.
        bare = [host.name for host in state.hosts if target.release not in host.releases]
        (reasons if bare else warnings).append(
            f"{lacking} of its files are damaged or gone in the store"
            + (f", and {', '.join(bare)} lacks the release" if bare else ", but the hosts hold it")
            + "; deploy its files again to restore them"
        )
    for passed in since:
        crossed += [
            f"'{name}' of deployment {passed.deployment} cannot be taken back, and the release"
            " before it does not know what it did"
            for name in passed.irreversible
        ]
    if forced and crossed:
        warnings += [f"forced: {one}" for one in crossed]
        crossed = []
    warnings += _warnings(state, target, intent)
    return Feasibility(tuple(reasons), tuple(crossed), tuple(warnings))


def _warnings(state: ScopeState, target: Revision, intent: Intent) -> list[str]:
    found = []
    live = state.live
    if live is not None and live.static != target.static:
        kinds = ("a server app", "a static site")
        found.append(f"what is live is {kinds[live.static]}, the target {kinds[target.static]}")
    if live is not None and not target.static and 0 < target.instances < live.instances:
        found.append(f"each host runs {target.instances} instances then, and {live.instances} now")
    lost = [name for name in state.domains if name not in intent.domains]
    if lost:
        found.append(f"these host names lead nowhere afterwards: {', '.join(lost)}")
    return found
