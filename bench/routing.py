"""The router alone: weights under load, how soon they hold, restarts, and a kill beside a bare
Envoy's start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import shutil
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import rig
from bench.report import Row, Section
from load import Kind, Load, Target
from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, backend, site
from tests.routers.upstream import Upstream, ask_once, free_port
from turnout.routers import envoy_command
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.envoy_bootstrap import bootstrap
from turnout.routers.port import Site
from turnout.routers.programs import ENVOY, find

KINDS = {Kind.KEEP_ALIVE: 0.6, Kind.NEW_CONNECTION: 0.3, Kind.STREAM: 0.05, Kind.SLOW_UPLOAD: 0.05}
RATE = 300.0
CHI_ASKED = (1, 5, 25, 50, 75, 95)
SIGNIFICANT = 0.01
"""All weights together may be this unlikely before the split counts as not what was asked."""


@dataclass
class Bench:
    """A router over two applications that stand for an old and a new release."""

    router: EnvoyRouter
    port: int
    old: Upstream
    new: Upstream

    def split(self, weight: int) -> Site:
        """Return the site in which the new release has *weight* percent."""
        weights = {NEW: weight, OLD: 100 - weight}
        return site(
            backend(OLD, self.old.address),
            backend(NEW, self.new.address),
            weights={name: part for name, part in weights.items() if part},
        )

    def load(self, rate: float = RATE) -> Load:
        """Return load on the site, each client of its own kind."""
        target = Target(
            "127.0.0.1", self.port, host="shop.test", upload_path="/upload", stream_path="/events"
        )
        return Load([target], rate=rate, kinds=KINDS, slow_s=0.3, stream_s=0.5)


@contextlib.asynccontextmanager
async def opened(work: Path) -> AsyncIterator[Bench]:
    """Start a router with both applications behind it."""
    port = free_port()
    old, new = await Upstream("old").start(), await Upstream("new").start()
    work.mkdir(exist_ok=True)
    router = EnvoyRouter(work / "state", work / "run", ("127.0.0.1", port))
    await router.start()
    try:
        yield Bench(router, port, old, new)
    finally:
        await router.stop()
        await old.stop()
        await new.stop()


def run(work: Path, *, quick: bool) -> Section:
    """Measure it all, one after the other, on one router."""
    return asyncio.run(_run(work, runs=2 if quick else 10, asked=400 if quick else 3000))


async def _run(work: Path, *, runs: int, asked: int) -> Section:
    async with opened(work) as bench:
        rows = [*await _steps(bench, runs), await _shares(bench, asked)]
        rows += await _killed(bench, work, rounds=3 if runs < 10 else 7)
    rows += await _restart(work, rounds=2 if runs < 10 else 5)
    return Section(
        "Router: weights, restarts, kills",
        tuple(rows),
        f"Envoy over two applications on loopback, {RATE:.0f} requests a second: keep-alive, new "
        "connections, slow uploads and streams. The bare start is the same binary with the same "
        "configuration, from its launch to its first answer, in the same run.",
    )


async def _steps(bench: Bench, runs: int) -> list[Row]:
    """Move the traffic over in 20 steps, take the old release away; again and again."""
    took: list[float] = []
    obeyed: list[float] = []
    await bench.router.apply([bench.split(0)])
    async with bench.load() as load:
        await load.seen(100)
        for _ in range(runs):
            for weight in range(5, 101, 5):
                asked = time.monotonic()
                applied = await bench.router.apply([bench.split(weight)])
                took.append(applied.took_s)
                await load.seen(15)
            stale = load.report().between(asked, time.monotonic()).last_start(OLD_RELEASE)
            obeyed.append(max(0.0, stale - asked) if stale is not None else 0.0)
            alone = site(backend(NEW, bench.new.address), weights={NEW: 100})
            await bench.router.apply([alone])
            await load.seen(30)
            await bench.router.apply([bench.split(0)])
            await load.seen(30)
    report = load.report()
    late = rig.quantile(obeyed, 1.0)
    return [
        Row(
            f"requests, failed, in {runs} runs of 20 weights and the removal of the old release",
            f"{report.requests:,}, {report.failed}",
            "0 failed",
            not report.failed,
        ),
        Row("a change asked to acknowledged by every worker", rig.shown(took), "", None),
        Row(
            "a change asked to the last request that began under the old weights",
            f"{late * 1000:.1f} ms at most, n = {len(obeyed)}",
            "≤ 5 ms",
            late <= 0.005,
        ),
    ]


async def _shares(bench: Bench, asked: int) -> Row:
    """Count who answers at each weight; compare with what was asked by Pearson's χ²."""
    total, seen = 0.0, []
    for weight in CHI_ASKED:
        await bench.router.apply([bench.split(weight)])
        target = Target("127.0.0.1", bench.port, host="shop.test")
        async with Load([target], rate=1500, count=asked, kinds={Kind.KEEP_ALIVE: 1}) as load:
            await load.done()
        answered = load.report().by_release
        both = answered[OLD_RELEASE] + answered[NEW_RELEASE]
        wanted = both * weight / 100
        off = answered[NEW_RELEASE] - wanted
        total += off**2 / wanted + off**2 / (both - wanted)
        seen.append(f"{100 * answered[NEW_RELEASE] / both:.1f}")
    p = chi_square_tail(total, len(CHI_ASKED))
    return Row(
        f"split asked {', '.join(map(str, CHI_ASKED))} %; answered, {asked:,} requests each",
        f"{', '.join(seen)} %; χ² {total:.1f}, p = {p:.2f}",
        "consistent (p ≥ 0.01)",
        p >= SIGNIFICANT,
    )


async def _restart(work: Path, rounds: int) -> list[Row]:
    """Restart on purpose, under load; each time a router that was started from nothing."""
    took: list[float] = []
    requests = failed = 0
    for number in range(rounds):
        async with opened(work / f"restarted-{number}") as bench:
            await bench.router.apply([bench.split(50)])
            async with bench.load() as load:
                await load.seen(200)
                took.append((await bench.router.restart()).took_s)
                await load.seen(300)
            requests += load.report().requests
            failed += load.report().failed
    return [
        Row(
            f"requests, failed, in {rounds} restarts on purpose",
            f"{requests:,}, {failed}",
            "0 failed",
            not failed,
        ),
        Row("a restart on purpose until the new process answers", rig.shown(took)),
    ]


async def _killed(bench: Bench, work: Path, *, rounds: int) -> list[Row]:
    """Kill it and start it again, in turn with a bare start of the same program."""
    gaps, bare = [], []
    for number in range(rounds):
        _process_of(work).kill()
        began = time.monotonic()
        starting = asyncio.create_task(bench.router.start())
        gaps.append(await _first_answer(bench.port, began))
        await starting
        bare.append(await _bare_start(work / f"bare-{number}"))
    ours, theirs = rig.quantile(gaps, 0.5), rig.quantile(bare, 0.5)
    return [
        Row(
            "killed: from SIGKILL to the next answer, the agent noticing it at once",
            f"{rig.shown(gaps)}, {ours / theirs:.2f} times a bare start ({rig.shown(bare)})",
            "≤ 1.5 times",
            ours <= 1.5 * theirs,
        )
    ]


def _process_of(work: Path) -> psutil.Process:
    """Return the router's process."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(work / "run" / "envoy") in process.cmdline():
                return process
    raise AssertionError("no router runs")


async def _bare_start(place: Path) -> float:
    """Return the seconds from a launch of Envoy without us to its first answer."""
    place.mkdir()
    port = free_port()
    for name in ("clusters.json", "routes.json"):
        shutil.copy(place.parent / "state" / name, place)
    config = place / "envoy.json"
    sites = (place / "clusters.json", place / "routes.json", place / "access.log")
    config.write_text(json.dumps(bootstrap(("127.0.0.1", port), place / "admin.sock", *sites)))
    argv = envoy_command.argv(find(ENVOY).path, config, place, place, place / "log", 0)
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(*argv, stdout=DEVNULL, stderr=DEVNULL)
    try:
        return await _first_answer(port, began)
    finally:
        process.kill()
        await process.wait()


async def _first_answer(port: int, began: float) -> float:
    while time.monotonic() - began < 30:
        with contextlib.suppress(OSError, EOFError):
            if (await ask_once(port, "shop.test")).status == 200:
                return time.monotonic() - began
        await asyncio.sleep(0.001)
    raise AssertionError("no answer within 30 s")


def chi_square_tail(value: float, freedom: int) -> float:
    """Return P(X ≥ *value*) of a χ² variable with an even number of degrees of *freedom*.

    Source: the closed form for even degrees, exp(-x/2) Σ (x/2)^k / k!, k < freedom/2
    (Abramowitz and Stegun, 26.4.4-26.4.5).
    """
    half = value / 2
    return math.exp(-half) * sum(half**k / math.factorial(k) for k in range(freedom // 2))
