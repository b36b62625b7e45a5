"""What is open stays open: sockets, events and uploads end on the release where they began."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from load import Kind, Load, Target
from tests.e2e.conftest import SITES
from tests.stand import projects
from tests.stand.projects import Project
from tests.stand.stand import Stand
from tests.stand.waiting import eventually_async

pytestmark = [pytest.mark.real, pytest.mark.anyio, pytest.mark.timeout(240)]
SOURCE = Path(__file__).with_name("chat-app") / "server.js"


@pytest.fixture
def chat(stand: Stand, npm: Path, tmp_path: Path) -> Project:
    path = tmp_path / "chat"
    path.mkdir()
    shutil.copy(SOURCE, path / "server.js")
    shutil.copytree(npm, path / "node_modules", ignore=shutil.ignore_patterns(*SITES, "@scarf"))
    project = Project("chat", path, path / "server.js", static=False)
    project.set(
        run_command='["node", "server.js"]',
        health_path='"/healthz"',
        health_interval='"100ms"',
        health_healthy_after="1",
        rollout_verify='"300ms"',
        rollout_keep_warm='"0s"',
        rollout_drain='"20s"',
    )
    return project


async def deploy(stand: Stand, project: Project) -> tuple[str, str]:
    """Deploy a new version; return its mark and its release."""
    mark = project.change()
    ended = await asyncio.to_thread(stand.cli, "deploy", project.path, "--to", "production")
    assert ended.code == 0, ended
    return mark, str(ended.document["release"])


async def test_sockets_events_and_uploads_survive_a_switch(stand: Stand, chat: Project) -> None:
    old, _ = await deploy(stand, chat)
    port, host = stand.http_port, "chat.localhost"
    headers = {"Host": host}
    events_reader, events = await asyncio.open_connection("127.0.0.1", port)
    events.write(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    upload_reader, upload = await asyncio.open_connection("127.0.0.1", port)
    upload.write(
        f"POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 20\r\n"
        "Connection: close\r\n\r\n0123456789".encode()
    )
    async with connect(
        f"ws://{host}:{port}/socket", host="127.0.0.1", port=port, additional_headers=None
    ) as socket:
        await socket.send("first")
        assert await socket.recv() == f"{old}: first"
        await events_reader.readuntil(b"3\n\n")

        switching = asyncio.create_task(deploy(stand, chat))
        await eventually_async(lambda: old.encode() not in stand.ask("/", host).body, 60.0)
        await asyncio.sleep(1.0)  # the old release is draining now

        await socket.send("second")
        assert await socket.recv() == f"{old}: second"
        assert old.encode() in await events_reader.readuntil(b"\n\n")
        upload.write(b"9876543210")
        answer = await upload_reader.read()
        assert b'"bytes":20' in answer
        assert old.encode() in answer
        assert not switching.done(), "the deployment waits for the streams"
    events.close()
    upload.close()
    new, _ = await switching
    assert new.encode() in (await asyncio.to_thread(stand.ask, "/", host, headers=headers)).body
    kept = [one for one in stand.processes() if one.kind == "app" and "/chat/" in one.place]
    assert len(kept) == 1, "the old release was stopped when its streams had ended"


async def test_the_drain_deadline_ends_endless_streams(stand: Stand, chat: Project) -> None:
    chat.rename("endless")
    chat.set(rollout_drain='"1s"', run_stop_grace='"1s"')
    await deploy(stand, chat)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.http_port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: endless.localhost\r\n\r\n")
    await reader.readuntil(b"1\n\n")
    await deploy(stand, chat)
    async with asyncio.timeout(10):
        await reader.read()  # it ends, if not by itself then with the release
    writer.close()


async def test_a_python_app_switches_under_load(stand: Stand, tmp_path: Path) -> None:
    path = tmp_path / "python"
    shutil.copytree(projects.EXAMPLES / "python-app", path)
    code = path / "app.py"
    code.write_text(code.read_text().replace('VERSION = "1"', 'VERSION = "version-0"'))
    project = Project("python", path, code, static=False)
    project.set(
        run_command=f'["{sys.executable}", "app.py"]',
        run_instances="2",
        health_path='"/healthz"',
        health_interval='"100ms"',
        rollout_verify='"500ms"',
        rollout_keep_warm='"0s"',
    )
    _, first = await deploy(stand, project)
    target = Target(
        "127.0.0.1", stand.http_port, host="python.localhost", upload_path="/upload",
        stream_path="/events",
        check=lambda answer: "" if b"<h1>Shop</h1>" in answer.body else "not the page",
    )  # fmt: skip
    kinds = dict.fromkeys(Kind, 0.2)
    async with Load([target], rate=60, kinds=kinds, slow_s=0.5, stream_s=1.0) as load:
        await load.seen(60)
        _, second = await deploy(stand, project)
        await load.seen(60)
    report = load.report()
    assert report.failures == {}
    assert set(report.by_release) == {first, second}
    assert set(report.by_kind) == set(Kind)
