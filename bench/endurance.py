"""Deployments and rollbacks for a long time: memory, files and processes stay flat; idle memory."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import rig
from bench.report import Row, Section
from tests.stand import projects
from tests.stand.stand import Stand

IDLE_S = 15.0
GROWTH_MIB = 10.0
"""More than this between the first and the last third counts as growth; a heap is never quite
still, and its first minutes fill caches."""
POOL_FILES = 10
"""Connections to SQLite stay open up to the size of their pool, 5, each with two files."""


@dataclass(frozen=True)
class Sample:
    """One look at a stand."""

    memory: dict[str, float]
    """MiB by the kind of process."""
    files: dict[str, int]
    processes: dict[str, int]


def look(stand: Stand) -> Sample:
    """Return what the processes of a stand take now."""
    memory: dict[str, float] = {}
    files: dict[str, int] = {}
    count: dict[str, int] = {}
    for found in stand.processes():
        try:
            process = psutil.Process(found.pid)
            size, handles = process.memory_info().rss / (1 << 20), process.num_fds()
        except psutil.Error:
            continue
        memory[found.kind] = memory.get(found.kind, 0.0) + size
        files[found.kind] = files.get(found.kind, 0) + handles
        count[found.kind] = count.get(found.kind, 0) + 1
    return Sample(memory, files, count)


def run(work: Path, *, minutes: float) -> list[Section]:
    """Deploy and roll back for *minutes*, looking after each round."""
    with Stand() as stand:
        stand.start()
        app = projects.app(work, "endless-app", rollout_keep_warm='"1s"', rollout_verify='"0s"')
        site = projects.site(work, "endless-site", rollout_verify='"0s"')
        for project in (app, site):
            rig.deploy(stand, project)
        time.sleep(IDLE_S)
        idle = look(stand)
        samples: list[Sample] = []
        rounds = 0
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until or rounds < 9:
            for project in (app, site):
                project.change()
                rig.deploy(stand, project)
                if rounds % 2:
                    rig.rollback(stand, project)
            rounds += 1
            time.sleep(0.3)
            samples.append(look(stand))
        deployments = stand.query("select count(*) as n from deployments")[0]["n"]
        bad = stand.query("select count(*) as n from deployments where status != 'succeeded'")
    return [_idle(idle), _flat(samples, minutes, deployments, bad[0]["n"])]


def _idle(idle: Sample) -> Section:
    server, agent = idle.memory["server"], idle.memory["agent"]
    return Section(
        "Memory at rest",
        (
            Row("server, resident", f"{server:.0f} MiB", "≤ 150 MiB", server <= 150),
            Row("agent, resident", f"{agent:.0f} MiB", "≤ 80 MiB", agent <= 80),
            Row("Envoy, resident", f"{idle.memory.get('envoy', 0):.0f} MiB"),
            Row("Caddy, resident", f"{idle.memory.get('caddy', 0):.0f} MiB"),
            Row("keeper of one instance, resident", f"{idle.memory.get('keeper', 0):.0f} MiB"),
        ),
        f"{IDLE_S:.0f} s after a server app and a static site were deployed.",
    )


def _flat(samples: list[Sample], minutes: float, deployments: int, bad: int) -> Section:
    third = max(1, len(samples) // 3)
    first, last = samples[third : 2 * third] or samples[:third], samples[-third:]
    rows = [
        Row(
            f"deployments and rollbacks in {minutes:g} minutes, not succeeded",
            f"{deployments}, {bad}", "0 not succeeded", bad == 0,
        )
    ]  # fmt: skip
    for kind in ("server", "agent", "envoy", "caddy"):
        a, b = (statistics.median(s.memory.get(kind, 0.0) for s in part) for part in (first, last))
        rows.append(
            Row(f"{kind}: memory, middle and last third", f"{a:.0f} → {b:.0f} MiB", "flat",
                b - a <= GROWTH_MIB)
        )  # fmt: skip
        c, d = (statistics.median(s.files.get(kind, 0) for s in part) for part in (first, last))
        rows.append(
            Row(f"{kind}: open files, middle and last third", f"{c:.0f} → {d:.0f}", "flat",
                d - c <= POOL_FILES)
        )  # fmt: skip
    e, f = (statistics.median(sum(s.processes.values()) for s in part) for part in (first, last))
    rows.append(
        Row(
            "processes, middle and last third",
            f"{e:.0f} → {f:.0f}",
            "at most one warm app more",
            f <= e + 2,
        )
    )
    return Section("Deployments and rollbacks without end", tuple(rows))
