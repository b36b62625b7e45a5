"""How long commands take: an unchanged project, a warm rollback, a deployment of nothing."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from bench import rig
from bench.report import Row, Section
from load import Load, Target
from tests.stand import projects
from tests.stand.projects import Project, client_of
from tests.stand.stand import Stand


def run(work: Path, *, quick: bool) -> Section:
    """Measure each command a few times."""
    rounds = 3 if quick else 10
    with Stand() as stand:
        stand.start()
        rows = [
            *_unchanged(stand, work, rounds),
            *asyncio.run(_rollback(stand, work, rounds)),
            *_nothing(stand, work, rounds * 2),
        ]
    return Section(
        "Commands",
        tuple(rows),
        "Whole commands include the start of the Python program; the middle of several runs, "
        "with the least and the most.",
    )


def thousand_files(work: Path) -> Project:
    """Return a site of a thousand files of 1 to 20 KB."""
    project = projects.site(work, "thousand", rollout_verify='"0s"')
    chance = random.Random(7)
    for number in range(1000 - 6):
        path = project.code.parent / "pages" / str(number % 40) / f"{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        words = (f"{chance.random():.12f}" for _ in range(chance.randrange(70, 1400)))
        path.write_text(" ".join(words))
    return project


def _unchanged(stand: Stand, work: Path, rounds: int) -> list[Row]:
    project = thousand_files(work)
    rig.deploy(stand, project)
    unchanged = [rig.deploy(stand, project) for _ in range(rounds)]
    changed = []
    for _ in range(rounds):
        project.change()
        changed.append(rig.deploy(stand, project))
    whole = [ended.seconds for ended in unchanged]
    server = [_between(stand, ended.document["id"], "deployment.finished") for ended in unchanged]
    switched = [_between(stand, ended.document["id"], "step.done", "switch") for ended in changed]
    return [
        Row(
            "`deploy` of an unchanged 1,000-file project, whole command",
            rig.shown(whole), "≤ 1,500 ms", rig.quantile(whole, 0.5) <= 1.5,
        ),
        Row(
            "the same at the server, accepted to confirmed (nothing moves)",
            rig.shown(server), "≤ 600 ms", rig.quantile(server, 0.5) <= 0.6,
        ),
        Row("one file changed, whole command", rig.shown([e.seconds for e in changed])),
        Row(
            "one file changed, accepted to switched at the server",
            rig.shown(switched), "≤ 600 ms", rig.quantile(switched, 0.5) <= 0.6,
        ),
    ]  # fmt: skip


async def _rollback(stand: Stand, work: Path, rounds: int) -> list[Row]:
    project = projects.app(work, "warm", rollout_keep_warm='"900s"')
    await asyncio.to_thread(rig.deploy, stand, project)
    whole, last = [], []
    target = Target("127.0.0.1", stand.http_port, host="warm.localhost")
    async with Load([target], rate=200) as load:
        for _ in range(rounds):
            project.change()
            new = (await asyncio.to_thread(rig.deploy, stand, project)).document["release"]
            await load.seen(50)
            ended = await asyncio.to_thread(rig.rollback, stand, project)
            await load.seen(50)
            whole.append(ended.seconds)
            accepted = rig.moment(stand, ended.document["id"], "deployment.queued")
            answered = load.report().last_start(new)
            assert answered is not None
            last.append(answered - rig.monotonic(accepted))
    assert load.report().failed == 0, load.report().failures
    return [
        Row(
            "`rollback` to a warm release, whole command",
            rig.shown(whole), "≤ 1,000 ms", rig.quantile(whole, 0.5) <= 1.0,
        ),
        Row(
            "the same, accepted to the last request that the old one answered",
            rig.shown(last), "≤ 150 ms", rig.quantile(last, 0.5) <= 0.15,
        ),
    ]  # fmt: skip


def _nothing(stand: Stand, work: Path, rounds: int) -> list[Row]:
    project = projects.site(work, "nothing")
    rig.deploy(stand, project)
    request = project.request(stand)
    took = []
    with client_of(stand) as client:
        for _ in range(rounds):
            name = client.post("/deployments", request)["id"]
            place = "select finished_at from deployments where id = ? and finished_at is not null"
            while not stand.query(place, name):
                time.sleep(0.005)
            phases = stand.query(
                "select count(*) as n from phases where deployment = ? and status = 'done'", name
            )
            assert phases[0]["n"] == 7, phases
            took.append(_between(stand, name, "deployment.finished"))
    middle = rig.quantile(took, 0.5)
    return [
        Row(
            "a deployment with nothing to move, accepted to succeeded, all seven phases",
            rig.shown(took), "≤ 250 ms", middle <= 0.25,
        )
    ]  # fmt: skip


def _between(stand: Stand, name: str, kind: str, action: str | None = None) -> float:
    accepted = rig.moment(stand, name, "deployment.queued")
    return rig.moment(stand, name, kind, action) - accepted
