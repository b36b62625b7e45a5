"""What instances use: processor time, memory and open files of all their processes.

Asked for every second, so what costs most, finding out who descends from whom among all the
processes of the machine, is done every few seconds only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from turnout.agent import offspring
from turnout.agent.instance import Instance
from turnout.agent.launch import key_of
from turnout.wire.statistics import InstanceUsage

FAMILIES_EVERY = 5.0
"""Seconds between two looks for processes that an app has started."""


class Usage:
    """What was found by the last look, so that the next one is cheap; for one thread at a time."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._parents: dict[int, int] = {}
        self._looked_at = -FAMILIES_EVERY
        self._spent: dict[str, tuple[float | None, float]] = {}

    def look(self, instances: Iterable[Instance]) -> tuple[InstanceUsage, ...]:
        """Return what each of *instances* uses now; an app that does not run uses nothing."""
        if time.monotonic() - self._looked_at >= FAMILIES_EVERY:
            self._looked_at = time.monotonic()
            self._parents = offspring.parents()
        before, self._processes = self._processes, {}
        spent, self._spent = self._spent, {}
        return tuple(self._one(instance, before, spent) for instance in instances)

    def _one(
        self,
        instance: Instance,
        before: dict[int, psutil.Process],
        spent: dict[str, tuple[float | None, float]],
    ) -> InstanceUsage:
        wanted, status = instance.record.wanted, instance.status
        cpu, memory, files = 0.0, 0, 0
        for pid in self._family(instance):
            try:
                process = before.get(pid) or psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    cpu += times.user + times.system + times.children_user + times.children_system
                    memory += process.memory_info().rss
                    files += process.num_fds()
            except psutil.Error:
                continue  # it ended meanwhile
            self._processes[pid] = process
        key = key_of(wanted)
        # What an orphan had used goes with it, for its keeper collects it; the sum never falls.
        started, most = spent.get(key, (None, 0.0))
        cpu = max(cpu, most) if started == status.started_at else cpu
        self._spent[key] = (status.started_at, cpu)
        return InstanceUsage(
            scope=wanted.scope,
            revision=wanted.revision,
            index=wanted.index,
            cpu_s=round(cpu, 3),
            memory_bytes=memory,
            open_files=files,
            restarts=status.restarts,
            started_at=status.started_at,
        )

    def _family(self, instance: Instance) -> list[int]:
        """Return the processes of an app; its keeper is not one of them."""
        if not instance.kept or instance.status.pid is None:
            return []
        keeper, pid = instance.status.keeper, instance.status.pid
        family = offspring.under(keeper, self._parents) if keeper else []
        # One that was started since the last look is at least there itself.
        return family if pid in family else [pid, *family]
