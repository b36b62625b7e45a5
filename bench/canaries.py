"""The whole path of a canary: real traffic through Envoy, judged by the server that is shipped.

Several projects have canaries at the same time, half of the traffic each, with no fault at all,
with the errors of a healthy service on both sides, or with more of them on the candidate's.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench import rig
from bench.analysis.__main__ import wilson
from bench.report import Row, Section
from load import Kind, Load, Target
from tests.stand import projects
from tests.stand.projects import Project, client_of
from tests.stand.stand import Stand
from tests.stand.waiting import eventually_async
from turnout.wire.api import ActRequest

AT_ONCE = 5
RATE = 60.0
"""Requests a second of each project."""
HOLD_S = 90
FAULTY_HOLD_S = 300
HEALTHY = 0.005
_FRONT = ("function front(_, response) {\n", "def front(handler, query):\n")
_FAULT = (
    "  if (Math.random() < {share}) return json(response, 500, {{}});\n",
    (
        "    if __import__('random').random() < {share}:\n"
        "        return handler.answer_json(500, {{}})\n"
    ),
)


def run(work: Path, *, quick: bool) -> Section:
    """Measure false alarms, and how soon a faulty release is taken back."""
    return asyncio.run(_run(work, rounds=1 if quick else 5, faulty=1 if quick else 3))


async def _run(work: Path, *, rounds: int, faulty: int) -> Section:
    with Stand() as stand:
        await asyncio.to_thread(stand.start)
        made = [_project(work, number) for number in range(AT_ONCE)]
        for project in made:
            _errors(project, HEALTHY)
            await asyncio.to_thread(rig.deploy, stand, project)
        targets = [
            Target(
                "127.0.0.1",
                stand.http_port,
                host=f"{project.name}.localhost",
                statuses=frozenset({200, 500}),
            )
            for project in made
        ]
        ended: list[str] = []
        took: list[float] = []
        async with Load(targets, rate=RATE * AT_ONCE, kinds={Kind.KEEP_ALIVE: 1.0}) as load:
            for _ in range(rounds):
                ended += [status for status, _ in await _canaries(stand, made)]
            for _ in range(faulty):
                for project in made:
                    project.set(rollout_canary=_schedule(FAULTY_HOLD_S))
                    _errors(project, 0.03)
                found = await _canaries(stand, made)
                took += [seconds for status, seconds in found if status == "rolled_back"]
                for project in made:
                    project.set(rollout_canary=_schedule(HOLD_S))
                    _errors(project, HEALTHY)
            moved = await _promotions(stand, made[0], 3 if faulty > 1 else 1)
        report = load.report()
    alarms = ended.count("rolled_back")
    low, high = wilson(alarms, len(ended))
    asked = faulty * AT_ONCE
    lost = report.failed
    return Section(
        "Canaries on the whole path",
        (
            Row(
                f"healthy releases ({HEALTHY:.1%} errors on both sides) taken back, of {len(ended)}",
                f"{alarms} ({low:.1%}-{high:.1%})",
                "≤ 1 %",
                # Too few runs neither reach the goal nor miss it.
                True if high <= 0.01 else False if low > 0.01 else None,
            ),
            Row(
                f"3 % errors: taken back, of {asked}; first traffic to all of it back",
                f"{len(took)}, median {statistics.median(took):.1f} s" if took else "0",
                "all",
                len(took) == asked,
            ),
            Row(
                "promote-now: API call to the last answer of the old release",
                rig.shown(moved),
                "≤ 50 ms",
                rig.quantile(moved, 0.5) <= 0.05,
            ),
            Row(
                "requests, unanswered or wrong",
                f"{report.requests:,}, {lost}",
                "0",
                lost == 0,
            ),
        ),
        f"{AT_ONCE} projects at a time, {RATE:.0f} requests a second each, half of them to the "
        f"candidate, {HOLD_S} s of hold; the interval is Wilson's at 95 %.",
    )


async def _canaries(stand: Stand, made: list[Project]) -> list[tuple[str, float]]:
    """Deploy a new release of each project; return how each ended, and how long it had traffic."""

    def one(project: Project) -> tuple[str, float]:
        project.change()
        ended = stand.cli("deploy", project.path, "--to", "production", timeout=600)
        name = ended.document["id"]
        first = rig.moment(stand, name, "step.done", "switch")
        back = [e["at"] for e in rig.events(stand, name) if e["kind"] == "step.undone"]
        return str(ended.document["status"]), (min(back) if back else first) - first

    with ThreadPoolExecutor(len(made)) as pool:
        loop = asyncio.get_running_loop()
        return list(
            await asyncio.gather(*(loop.run_in_executor(pool, one, project) for project in made))
        )


async def _promotions(stand: Stand, project: Project, times: int) -> list[float]:
    """Promote a canary while it is held; return the seconds to the last old answer, each time."""
    found = []
    target = Target(
        "127.0.0.1",
        stand.http_port,
        host=f"{project.name}.localhost",
        statuses=frozenset({200, 500}),
    )
    live = "select h.release from history h join scopes s on s.live = h.id where s.project = ?"
    ended = "select 1 from deployments where id = ? and finished_at is not null"
    held = "select 1 from events where deployment = ? and kind = 'hold.started'"
    for _ in range(times):
        project.change()
        request = await asyncio.to_thread(project.request, stand)
        old = str(stand.query(live, project.name)[0]["release"])
        with client_of(stand) as client:
            name = str((await asyncio.to_thread(client.post, "/deployments", request))["id"])
            await eventually_async(partial(stand.query, held, name), 60)
            async with Load([target], rate=500, kinds={Kind.KEEP_ALIVE: 1.0}) as load:
                await load.seen(200)
                asked = time.monotonic()
                await asyncio.to_thread(
                    client.post, f"/deployments/{name}/promote", ActRequest(reason="a measurement")
                )
                await load.seen(500)
        last = load.report().last_start(old)
        found.append(max(0.0, (last or asked) - asked))
        await eventually_async(partial(stand.query, ended, name), 60)
    return found


def _project(work: Path, number: int) -> Project:
    project = projects.app(
        work,
        f"canary-{number}",
        rollout_strategy='"canary"',
        rollout_canary=_schedule(HOLD_S),
        rollout_watch='"0s"',
    )
    text = project.code.read_text()
    for front, fault in zip(_FRONT, _FAULT, strict=True):
        text = text.replace(front, front + fault.format(share="0.0"))
    project.code.write_text(text)
    return project


def _schedule(hold_s: int) -> str:
    step = f'weight = 50, hold = "{hold_s}s", max_hold = "{hold_s}s", on_unknown = "continue"'
    return f"{{steps = [{{{step}}}], sticky = false}}"


def _errors(project: Project, share: float) -> None:
    """Make so many of its answers errors."""
    lines = project.code.read_text().splitlines(keepends=True)
    for at, line in enumerate(lines):
        before, mark, rest = line.partition("andom() < ")
        if mark:
            lines[at] = f"{before}{mark}{share}{rest.lstrip('0123456789.')}"
    project.code.write_text("".join(lines))
