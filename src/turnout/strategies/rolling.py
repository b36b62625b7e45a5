"""Rolling: the new release takes the place of the live one batch by batch.

In each batch the new instances start and become ready, the weights of their hosts move to
their share, then the old ones are drained and stopped.  Taken back newest first, every batch
gives back what it took before the one before it does, so capacity holds on the way back too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.domain import parts, swaps
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.splits import share
from turnout.domain.steps import Action, Step, Undo
from turnout.strategies import batches, holds, simple
from turnout.strategies.frame import Course, Move
from turnout.wire.project import Intent


def course(state: ScopeState, revision: Revision, intent: Intent) -> Course:
    """Return the course of a rolling deployment; another revision is live.

    Raises:
        InvalidInput: Its numbers allow nothing to move.
    """
    assert state.live is not None
    if revision.static or state.live.static:
        return _by_hosts(state, revision, intent)
    return _by_instances(state, state.live, revision, intent)


def _by_hosts(state: ScopeState, revision: Revision, intent: Intent) -> Course:
    """A static site has no instances: a unit is a host, and both releases are there at once."""
    spec = intent.rollout.rolling
    size = max(1, batches.count(spec.batch, len(state.hosts), up=True))
    moves = []
    for at in range(0, len(state.hosts), size):
        steps: list[Step] = []
        for host in state.hosts[at : at + size]:
            steps += simple.bridge(host, state, revision, intent)
            steps.append(parts.switch(host, state, revision, Phase.PROMOTION))
        done = min(at + size, len(state.hosts))
        moves.append((100 * done // len(state.hosts), tuple(steps)))
    return Course(
        strategy="rolling",
        staging=tuple(simple.stage(state, revision)),
        validation=tuple(simple.validate(state, revision, intent)),
        moves=_with_holds(moves, state, revision, intent),
        verification=_last_hold(state, revision, intent),
    )


def _by_instances(state: ScopeState, live: Revision, revision: Revision, intent: Intent) -> Course:
    spec = intent.rollout.rolling
    wanted = revision.instances * len(state.hosts)
    bounds = batches.limits(spec, wanted, revision.instances, state.scope)
    found = batches.batches(
        {host.name: host.instances.get(live.revision, frozenset()) for host in state.hosts},
        {host.name: host.instances.get(revision.revision, frozenset()) for host in state.hosts},
        revision.instances,
        bounds,
        spec.order,
    )
    rolling = _Rolling(state, live, revision, intent)
    # What the first batch starts beside all of the old is validated before anything moves.
    first = found[0].up if found else ()
    staging = [
        step for host in state.hosts for step in parts.bring(host, state, revision, Phase.STAGING)
    ]
    staging += rolling.start(first, Phase.STAGING)
    validation = rolling.admit(first, Phase.VALIDATION)
    moves = []
    for number, batch in enumerate(found):
        steps = []
        if number:
            steps += rolling.start(batch.up, Phase.PROMOTION)
            steps += rolling.admit(batch.up, Phase.PROMOTION)
        steps += rolling.exchange(batch)
        moves.append((rolling.weight(), tuple(steps)))
    return Course(
        strategy="rolling",
        staging=tuple(staging),
        validation=tuple(validation),
        moves=_with_holds(moves, state, revision, intent),
        verification=_last_hold(state, revision, intent),
        gone=frozenset({live.revision}),
        notes=_notes(bounds, len(found), revision, intent),
    )


@dataclass
class _Rolling:
    """The steps of batches, made one after another, and what each host has by then."""

    state: ScopeState
    live: Revision
    revision: Revision
    intent: Intent
    new: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def start(self, up: tuple[batches.Unit, ...], phase: Phase) -> list[Step]:
        hosts = {host.name: host for host in self.state.hosts}
        return [parts.start(hosts[name], self.revision, index, phase) for name, index in up]

    def admit(self, up: tuple[batches.Unit, ...], phase: Phase) -> list[Step]:
        """Return what waits for new instances; the first of a host is checked as well."""
        steps: list[Step] = []
        fresh = []
        for host in self.state.hosts:
            indexes = [index for name, index in up if name == host.name]
            known = host.name in self.new
            drain = self.intent.rollout.drain if known else None
            for index in indexes:
                steps.append(swaps.await_instance(host, self.revision, index, phase, drain))
            if indexes and not known:
                fresh.append(host)
            if indexes:
                self.new[host.name] = self.new.get(host.name, 0) + len(indexes)
        for host in fresh:
            steps += simple.checks(host, self.intent, phase)
        for host in fresh:
            steps.append(parts.expose(host, self.state, self.revision, phase))
        return steps

    def exchange(self, batch: batches.Batch) -> list[Step]:
        """Return the moves of weights to what serves after the batch, then the end of the old."""
        phase, drain = Phase.PROMOTION, self.intent.rollout.drain
        for name, _ in batch.down:
            self.ended[name] = self.ended.get(name, 0) + 1
        steps = []
        for host in self.state.hosts:
            before = self.weights.get(host.name, 0)
            after = share(self.new.get(host.name, 0), self._old(host))
            joined = any(name == host.name for name, _ in batch.up)
            # A host whose share stays is told too: its router has to learn who joined.
            if after != before or (after and joined):
                steps.append(self._switch(host, before, after))
                self.weights[host.name] = after
        hosts = {host.name: host for host in self.state.hosts}
        for name, index in batch.down:
            steps += swaps.take_down(hosts[name], self.live, index, phase, drain)
        return steps

    def weight(self) -> int:
        """Return the percent of all traffic that the new release has, hosts counted alike."""
        hosts = len(self.state.hosts)
        total = sum(self.weights.values())
        return 100 if total == 100 * hosts else min(99, -(-total // hosts))

    def _old(self, host: HostState) -> int:
        running = len(host.instances.get(self.live.revision, ()))
        return running - self.ended.get(host.name, 0)

    def _switch(self, host: HostState, before: int, after: int) -> Step:
        short = self.revision.release[:12]
        return Step(
            Phase.PROMOTION,
            Action.SWITCH,
            f"give {short} {after} % of the traffic of {host.name}",
            host.name,
            {"weights": self._split(after)},
            Undo(
                Action.SWITCH_BACK,
                f"give {short} {before} % of the traffic of {host.name} again",
                {"weights": self._split(before)},
            ),
        )

    def _split(self, weight: int) -> dict[str, int]:
        split = {self.revision.revision: weight, self.live.revision: 100 - weight}
        return {name: part for name, part in split.items() if part}


def _with_holds(
    moves: list[tuple[int, tuple[Step, ...]]],
    state: ScopeState,
    revision: Revision,
    intent: Intent,
) -> tuple[Move, ...]:
    """Put between each two batches what is asked for: a verdict, then a pause."""
    assert state.live is not None
    spec = intent.rollout.rolling
    found = []
    before = 0
    for number, (weight, steps) in enumerate(moves):
        last = number == len(moves) - 1
        after: list[Step] = []
        # A batch that moved no traffic has nothing that could be judged.
        if not last and weight > before:
            whole = weight == 100
            pair = holds.Pair(
                revision.revision, state.live.revision, weight, 100 - weight, history=whole
            )
            if spec.verify:
                after.append(holds.judged(Phase.PROMOTION, intent, pair, spec.verify))
            if spec.pause:
                after.append(holds.pause(Phase.PROMOTION, intent, pair, spec.pause))
        found.append(Move(weight, steps, tuple(after)))
        before = weight
    return tuple(found)


def _last_hold(state: ScopeState, revision: Revision, intent: Intent) -> tuple[Step, ...]:
    assert state.live is not None
    seconds = intent.rollout.rolling.verify
    if not seconds:
        return ()
    pair = holds.Pair(revision.revision, state.live.revision, 100, 0, history=True)
    return (holds.judged(Phase.VERIFICATION, intent, pair, seconds),)


def _notes(
    bounds: batches.Limits, count: int, revision: Revision, intent: Intent
) -> tuple[str, ...]:
    spec = intent.rollout.rolling
    rolls = (
        f"Rolls in {count} batch{'es' * (count != 1)} of up to {bounds.batch}: at most"
        f" {bounds.surge} instance{'s' * (bounds.surge != 1)} more than asked for, at most"
        f" {bounds.unavailable} fewer."
    )
    notes = [rolls]
    if spec.max_surge == 0 and bounds.surge and revision.instances == 1:
        notes.append(
            "A host runs one instance only: the new one starts beside it, whatever max_surge"
            " says, so that the host never stands without."
        )
    notes.append("The release before is stopped batch by batch: it does not stay warm.")
    return tuple(notes)
