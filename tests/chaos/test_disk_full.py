"""A full disk: a clear error, nothing lost, and all works again once there is space."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from load import Load, Target
from tests.chaos.house import failed
from tests.chaos.scenes import ENDED, Scene
from tests.stand import projects
from tests.stand.mutants import FILLER, fill
from tests.stand.stand import Stand
from tests.stand.waiting import eventually

pytestmark = [
    pytest.mark.real,
    pytest.mark.anyio,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk"),
]
SIZE = "400m"
"""More than the 256 MiB that a host must have free before a deployment begins."""
AFTER_S = 45.0
"""How long a deployment may take to its end once there is space again."""


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """Mount a small disk at *path*."""
    path.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def stand() -> Iterator[Stand]:
    """A server whose data is on one small disk, and whose host has another."""
    found = Stand(forked=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, found.base, ignore_errors=True)
        stack.enter_context(small_disk(found.data))
        stack.enter_context(small_disk(found.data / "host"))
        stack.callback(found.end)
        found.start()
        stack.enter_context(found.guarded())
        yield found


def scene_of(stand: Stand) -> Scene:
    project = projects.app(stand.base, "full", rollout_keep_warm='"900s"')
    return Scene(stand, "full", project, "succeeded", ())


def load_of(stand: Stand, scene: Scene) -> Load:
    target = Target("127.0.0.1", stand.http_port, host=f"{scene.project.name}.localhost")
    return Load([target], rate=40)


@pytest.mark.parametrize("disk", ["", "host"])
async def test_a_deployment_onto_a_full_disk(stand: Stand, disk: str) -> None:
    scene = scene_of(stand)
    await asyncio.to_thread(scene.deploy)
    async with load_of(stand, scene) as load:
        fill(stand.data / disk)
        scene.project.change()
        ended = await asyncio.to_thread(stand.cli, "deploy", scene.project.path, "--to=production")
        assert ended.code == 1, ended
        assert any(word in ended.out.lower() for word in ("disk", "space")), ended.out
        status = await asyncio.to_thread(stand.cli, "status")
        assert status.code == 0, status
        (stand.data / disk / FILLER).unlink()
        await load.seen(20)
        await asyncio.to_thread(scene.deploy)
        await load.seen(20)
    assert failed(load.report()) == []


@pytest.mark.parametrize("action", ["stage", "start", "switch", "confirm"])
@pytest.mark.parametrize("disk", ["", "host"])
async def test_the_disk_fills_up_during_a_deployment(stand: Stand, disk: str, action: str) -> None:
    scene = scene_of(stand)
    await asyncio.to_thread(scene.deploy)
    scene.project.change()
    planned = await asyncio.to_thread(stand.cli, "plan", scene.project.path, "--to=production")
    index = next(s["index"] for s in planned.document["steps"] if s["action"] == action)
    point = f"server.step.{index}-{action}.before"
    async with load_of(stand, scene) as load:
        scene.arm({point: f"fill={stand.data / disk}"})
        deployment = await asyncio.to_thread(scene.begin)
        until = time.monotonic() + 30
        while not scene.reached(point):
            assert time.monotonic() < until, scene.why(deployment)
            await asyncio.sleep(0.02)
        await load.seen(80)  # two seconds without space
        (stand.data / disk / FILLER).unlink()
        until = time.monotonic() + AFTER_S
        while (status := scene.state(deployment)) not in ENDED:
            assert time.monotonic() < until, f"it never ended: {scene.why(deployment)}"
            await asyncio.sleep(0.05)
        if status != "succeeded":
            reason = stand.query("select reason from deployments where id = ?", deployment)
            assert "disk" in reason[0]["reason"] or "space" in reason[0]["reason"], reason
        await asyncio.to_thread(eventually, stand.agent_pid, 20.0)
        scene.project.change()
        await asyncio.to_thread(scene.deploy)
        await load.seen(20)
    assert failed(load.report()) == []
