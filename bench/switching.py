"""A blue-green switch under full load: no request fails, and latency stays what it was."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench import rig
from bench.report import Row, Section
from load import Kind, Load, Target
from tests.stand import projects
from tests.stand.stand import Stand

KINDS = {
    Kind.KEEP_ALIVE: 0.90,
    Kind.NEW_CONNECTION: 0.08,
    Kind.SLOW_READER: 0.005,
    Kind.SLOW_UPLOAD: 0.005,
    Kind.STREAM: 0.01,
}
AROUND_S = 0.25
"""Load on either side of a switch that counts as during it."""


def run(work: Path, *, quick: bool) -> Section:
    """Switch again and again under load, until there were enough requests."""
    return asyncio.run(_run(work, requests=6_000 if quick else 100_000, rate=400.0))


async def _run(work: Path, requests: int, rate: float) -> Section:
    with Stand() as stand:
        await asyncio.to_thread(stand.start)
        project = projects.app(work, "switching", rollout_keep_warm='"5s"')
        await asyncio.to_thread(rig.deploy, stand, project)
        target = Target(
            "127.0.0.1", stand.http_port, host="switching.localhost", upload_path="/upload",
            stream_path="/events",
            check=lambda answer: "" if b"version-" in answer.body else "not the page",
        )  # fmt: skip
        switches: list[tuple[float, float]] = []
        commands: list[tuple[float, float]] = []
        async with Load([target], rate=rate, kinds=KINDS, slow_s=0.5, stream_s=2.0) as load:
            await load.seen(int(rate * 3), 120)
            while load.report().requests < requests or not switches:
                project.change()
                begun = time.monotonic()
                ended = await asyncio.to_thread(rig.deploy, stand, project)
                commands.append((begun, time.monotonic()))
                name = ended.document["id"]
                start = rig.moment(stand, name, "step.started", "switch")
                done = rig.moment(stand, name, "step.done", "switch")
                switches.append((rig.monotonic(start), rig.monotonic(done)))
                await load.seen(int(rate * 3), 120)
    report = load.report()
    quiet = [
        r for r in report.records
        if not any(a - 1.0 <= r.start <= b + 1.0 for a, b in commands)
    ]  # fmt: skip
    during = [
        record for a, b in switches for record in report.between(a - AROUND_S, b + AROUND_S).records
    ]
    deploying = [record for a, b in commands for record in report.between(a, b).records]
    before, at_switch, at_deploy = (
        rig.quantile([r.latency for r in part if r.kind in (Kind.KEEP_ALIVE, Kind.NEW_CONNECTION)],
                     0.99)
        for part in (quiet, during, deploying)
    )  # fmt: skip
    ratio = at_switch / before
    return Section(
        "A blue-green switch under full load",
        (
            Row(
                f"requests, failed, in {len(switches)} switches",
                f"{report.requests:,}, {report.failed}",
                "≥ 100,000, 0",
                False if report.failed else True if report.requests >= 100_000 else None,
            ),
            Row("p99 latency, nothing deployed", f"{before * 1000:.1f} ms"),
            Row(
                f"p99 latency within {AROUND_S} s of a switch ({len(during):,} requests)",
                f"{at_switch * 1000:.1f} ms, {ratio:.2f} times",
                "≤ 2 times",
                ratio <= 2,
            ),
            Row(
                "p99 latency while `turnout deploy` runs, packaging included",
                f"{at_deploy * 1000:.1f} ms",
            ),
            Row("answers by release", f"{len(report.by_release)} releases"),
        ),
        f"{rate:.0f} requests a second, open loop, from clients on the same machine: keep-alive, "
        "new connections, slow readers, slow uploads and event streams, through Envoy to the "
        "example app. Latency is that of the quick ones, from the moment when each was due."
        + ("" if not report.failed else f" Failures: {dict(report.failures)}"),
    )
