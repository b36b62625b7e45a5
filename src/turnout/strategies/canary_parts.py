"""The parts that a canary is put together from: instances that follow the weight, splits, ramps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from turnout.domain import parts, swaps
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.splits import baseline_weight, weights_at
from turnout.domain.steps import Action, Step, Undo
from turnout.strategies import holds, simple
from turnout.wire.project import Intent


@dataclass
class Canary:
    """A canary while its steps are made one after another.

    Attributes:
        state: The scope and its hosts.
        live: What is live.
        revision: The candidate.
        intent: What the project asks for.
        baseline: The pseudo revision of the baseline, if there is one.
        scale: Whether the instances follow the weight.
        started: Kind of instance to how many of it every host has so far.
    """

    state: ScopeState
    live: Revision
    revision: Revision
    intent: Intent
    baseline: str | None
    scale: bool
    started: dict[str, int] = field(default_factory=dict)
    bridged: bool = False

    def bring(self) -> list[Step]:
        """Return what brings the release to all hosts."""
        return [
            step
            for host in self.state.hosts
            for step in parts.bring(host, self.state, self.revision, Phase.STAGING)
        ]

    def start(self, weight: int, phase: Phase) -> list[Step]:
        """Return what starts the instances that *weight* needs and that are not there yet.

        While traffic moves, each is awaited too, and drained before it is stopped when it is
        taken back, for others of its kind have traffic then.
        """
        steps: list[Step] = []
        candidates = self._fresh("candidate", weight)
        # A baseline without traffic at the end needs no further instances.
        fresh = self._fresh("baseline", baseline_weight(weight)) if self.baseline else range(0)
        for host in self.state.hosts:
            steps += [parts.start(host, self.revision, index, phase) for index in candidates]
            steps += [self._start_baseline(host, index, phase) for index in fresh]
        if phase is Phase.PROMOTION:
            drain = self.intent.rollout.drain
            for host in self.state.hosts:
                steps += [
                    swaps.await_instance(host, self.revision, index, phase, drain)
                    for index in candidates
                ]
                steps += [self._await_baseline(host, index, phase) for index in fresh]
        return steps

    def validate(self) -> list[Step]:
        """Return what shows that candidate and baseline work, before any traffic."""
        steps = list(simple.validate(self.state, self.revision, self.intent))
        if self.baseline:
            waits = [
                self._await_baseline(host, None, Phase.VALIDATION) for host in self.state.hosts
            ]
            steps[len(self.state.hosts) : len(self.state.hosts)] = waits
        return steps

    def move(self, weight: int) -> list[Step]:
        """Return what gives the candidate *weight* percent of the traffic of every host."""
        steps = self.start(weight, Phase.PROMOTION)
        for host in self.state.hosts:
            if not self.bridged:
                steps += simple.bridge(host, self.state, self.revision, self.intent)
            steps.append(self._switch(host, weight))
        self.bridged = True
        return steps

    def pair(self, weight: int) -> holds.Pair:
        """Return who is compared at *weight*."""
        if weight == 100:
            return holds.Pair(self.revision.revision, self.live.revision, 100, 0, history=True)
        if self.baseline and weight:
            control, part = self.baseline, baseline_weight(weight)
        else:
            control, part = self.live.revision, 100 - weight
        return holds.Pair(self.revision.revision, control, weight, part)

    def ramp(self, first: int, top: int) -> Step:
        """Return the step that raises the weight from *first* to *top* as the evidence allows."""
        auto, analysis = self.intent.rollout.canary.auto, self.intent.rollout.analysis
        return Step(
            Phase.PROMOTION,
            Action.RAMP,
            f"raise the weight from {first} % to {top} % as the evidence allows",
            args={
                "first": first,
                "max": top,
                "interval": auto.interval,
                "deadline": auto.deadline,
                "candidate": self.revision.revision,
                "control": self.baseline or self.live.revision,
                "on_unknown": analysis.on_unknown,
                "on_unavailable": analysis.on_unavailable,
                "min_requests": analysis.min_requests,
                "hosts": [host.name for host in self.state.hosts],
                "live": self.live.revision,
                "split": self._marks(),
            },
        )

    def _fresh(self, kind: str, weight: int) -> range:
        whole = self.revision.instances
        # At least one, so that the first weight has somebody to answer it.
        needed = max(1, -(-whole * weight // 100)) if self.scale else whole
        before = self.started.get(kind, 0)
        needed = max(before, min(needed, whole))
        self.started[kind] = needed
        return range(before, needed)

    def _switch(self, host: HostState, weight: int) -> Step:
        short, before = self.revision.release[:12], self.live.release[:12]
        title = f"give {short} {weight} % of the traffic of {host.name}"
        if weight == 100:
            title = f"switch {host.name} from {before} to {short}"
        args: dict[str, Any] = {
            "weights": weights_at(weight, self.revision.revision, self.live.revision, self.baseline)
        }
        if weight < 100:
            args["split"] = self._marks()
        return Step(
            Phase.PROMOTION,
            Action.SWITCH,
            title,
            host.name,
            args,
            Undo(
                Action.SWITCH_BACK,
                f"switch {host.name} back to {before}",
                {"weights": {self.live.revision: 100}},
            ),
        )

    def _marks(self) -> dict[str, Any]:
        spec = self.intent.rollout.canary
        return {
            "candidate": self.revision.revision,
            "baseline": self.baseline,
            "sticky": spec.sticky,
            "testers": [tester.model_dump(mode="json") for tester in spec.testers],
        }

    def _start_baseline(self, host: HostState, index: int, phase: Phase) -> Step:
        return Step(
            phase,
            Action.START,
            f"start instance {index} of {self._name()} on {host.name}",
            host.name,
            {"index": index, "revision": self.baseline, "of": "live"},
            Undo(
                Action.STOP,
                f"stop instance {index} of {self._name()} on {host.name}",
                {"index": index, "revision": self.baseline},
            ),
        )

    def _await_baseline(self, host: HostState, index: int | None, phase: Phase) -> Step:
        if index is None:
            return Step(
                phase,
                Action.AWAIT_READY,
                f"wait until {self._name()} is healthy on {host.name}",
                host.name,
                {"revision": self.baseline, "of": "live"},
            )
        which = {"revision": self.baseline, "index": index}
        return Step(
            phase,
            Action.AWAIT_READY,
            f"wait until instance {index} of {self._name()} is healthy on {host.name}",
            host.name,
            {**which, "of": "live"},
            Undo(
                Action.DRAIN,
                f"drain instance {index} of {self._name()} on {host.name}",
                {**which, "deadline": self.intent.rollout.drain},
            ),
        )

    def _name(self) -> str:
        return f"the baseline ({self.live.release[:12]})"
