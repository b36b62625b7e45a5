"""A picture of hosts that steps are done to: no processes, only what must be so afterwards.

Each step is refused if it would cut off somebody's request, so that walking a plan through it
proves what the plan says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from turnout.domain.facts import ScopeState
from turnout.domain.splits import weights_at
from turnout.domain.steps import Action, Plan, Step

_NOTHING = {
    Action.CHECK_HOST, Action.CHECK, Action.PROBE, Action.HOLD, Action.GATE, Action.COMMAND,
    Action.VERIFY, Action.CONFIRM, Action.PRUNE, Action.RECORD,
}  # fmt: skip


@dataclass
class Machine:
    """One host."""

    ready: dict[str, set[int]]
    starting: dict[str, set[int]] = field(default_factory=dict)
    draining: set[tuple[str, int]] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)
    weights: dict[str, int] = field(default_factory=dict)
    off: bool = False
    exposed: set[str] = field(default_factory=set)
    mirrored: str = ""
    bridged: list[str] = field(default_factory=list)

    def serving(self, revision: str) -> int:
        """How many instances of a revision take new requests."""
        return sum((revision, index) not in self.draining for index in self.ready.get(revision, ()))

    def running(self, revision: str) -> int:
        """How many instances of a revision take up room."""
        return len(self.ready.get(revision, ())) + len(self.starting.get(revision, ()))

    def check(self) -> None:
        """Whoever has traffic has somebody who answers it."""
        if self.off:
            assert not self.weights
            return
        assert sum(self.weights.values()) == 100, self.weights
        for revision, weight in self.weights.items():
            assert 0 < weight <= 100
            assert revision in self.sites or self.serving(revision), f"{revision} is not there"


@dataclass
class Picture:
    """All hosts of a scope."""

    machines: dict[str, Machine]
    live: str
    plan: Plan
    sealed: bool = False

    def do(self, step: Step) -> None:
        """Make so what a step says."""
        hosts = [step.host] if step.host else []
        if step.action is Action.RAMP:
            hosts = step.args["hosts"]
        self._apply(step.action, hosts, step.args)

    def undo(self, step: Step) -> None:
        """Take a step back."""
        if step.undo is not None:
            hosts = [step.host] if step.host else []
            self._apply(step.undo.action, hosts, step.undo.args)

    def facts(self) -> Any:
        """What must be as before once all is undone."""
        machines = deepcopy(self.machines)
        for machine in machines.values():
            machine.ready = {name: who for name, who in machine.ready.items() if who}
            machine.starting = {name: who for name, who in machine.starting.items() if who}
        return self.sealed, machines

    def _apply(self, action: Action, hosts: list[str], args: Mapping[str, Any]) -> None:
        if action in (Action.SEAL, Action.DISCARD):
            self.sealed = action is Action.SEAL
        for name in hosts:
            if action not in _NOTHING:
                self._on(self.machines[name], action, args)
            self.machines[name].check()

    def _on(self, host: Machine, action: Action, args: Mapping[str, Any]) -> None:
        revision = args.get("revision", self.plan.revision)
        index = args.get("index")
        match action:
            case Action.STAGE:
                host.releases.add(args["release"])
            case Action.UNSTAGE:
                host.releases.discard(args["release"])
            case Action.BUILD_SITE:
                host.sites.add(revision)
            case Action.BRIDGE:
                host.bridged = list(args["releases"])
            case Action.START:
                if index not in host.ready.get(revision, set()):
                    host.starting.setdefault(revision, set()).add(index)
            case Action.AWAIT_READY:
                starting = host.starting.get(revision, set())
                joining = starting & ({index} if index is not None else starting)
                starting -= joining
                host.ready.setdefault(revision, set()).update(joining)
            case Action.EXPOSE:
                host.exposed.add(revision)
            case Action.CONCEAL:
                assert revision not in host.weights
                host.exposed.discard(revision)
            case Action.SWITCH | Action.SWITCH_BACK:
                host.weights, host.off = dict(args["weights"]), False
            case Action.RAMP:
                split = args["split"]
                host.weights = weights_at(
                    args["max"], split["candidate"], args["live"], split["baseline"]
                )
            case Action.SWITCH_OFF:
                host.weights, host.off = {}, True
            case Action.MIRROR:
                assert revision not in host.weights
                host.mirrored = revision
            case Action.UNMIRROR:
                host.mirrored = ""
            case Action.DRAIN if index is None:
                assert revision not in host.weights
            case Action.DRAIN:
                host.draining.add((revision, index))
            case Action.RESTORE:
                assert revision == self.live
                host.ready.setdefault(revision, set()).add(index)
                host.draining.discard((revision, index))
            case Action.STOP:
                self._stop(host, revision, index)
            case _:
                raise AssertionError(f"the picture does not know {action}")

    def _stop(self, host: Machine, revision: str, index: int | None) -> None:
        if index is None:
            assert revision not in host.weights
            host.ready.pop(revision, None)
            host.starting.pop(revision, None)
            host.sites.discard(revision)
            host.draining = {one for one in host.draining if one[0] != revision}
            return
        if index in host.ready.get(revision, set()):
            # Requests are on their way to it unless it was drained or its release has no traffic.
            assert revision not in host.weights or (revision, index) in host.draining
        host.ready.get(revision, set()).discard(index)
        host.starting.get(revision, set()).discard(index)
        host.draining.discard((revision, index))


def picture(state: ScopeState, plan: Plan) -> Picture:
    """Return the picture of a scope before a plan runs."""
    machines = {
        host.name: Machine(
            ready={name: set(indexes) for name, indexes in host.instances.items()},
            sites=set(host.sites),
            releases=set(host.releases),
            weights=dict(host.weights),
            exposed={*host.instances, *host.sites} - _partly(plan, host.name),
            bridged=list(state.bridged),
        )
        for host in state.hosts
    }
    return Picture(machines, state.live.revision if state.live else "", plan)


def _partly(plan: Plan, host: str) -> set[str]:
    """Return the new revision where only a part of it runs: then nobody reaches it yet."""
    return {
        plan.revision
        for step in plan.steps
        if step.action is Action.EXPOSE and step.host == host and step.undo is not None
    }


def lines(plan: Plan) -> list[str]:
    """Return a plan as people read it: one line a step, its phase before it."""
    return [f"{step.phase.value}: {step.title}" for step in plan.steps]
