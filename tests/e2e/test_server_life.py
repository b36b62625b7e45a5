"""The life of a server: stopped, started again, started twice, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from load import Load, Target
from tests.stand import projects, stand
from tests.stand.ports import free_port
from tests.stand.stand import Stand
from tests.stand.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture
def own() -> Iterator[Stand]:
    with Stand() as found:
        found.start()
        yield found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_what_it_serves_goes_on_when_it_stops(
    own: Stand, tmp_path: Path, number: signal.Signals
) -> None:
    app = projects.app(tmp_path, "shop")
    site = projects.site(tmp_path, "docs")
    for project in (app, site):
        assert own.cli("deploy", project.path, "--to", "production").code == 0
    before = {(one.pid, one.kind) for one in own.processes() if one.kind != "server"}
    targets = [
        Target("127.0.0.1", own.http_port, host="shop.localhost", stream_path="/events"),
        Target("127.0.0.1", own.http_port, host="docs.localhost"),
    ]
    async with Load(targets, rate=50) as load:
        await load.seen(30)
        assert own.stop_server(number) == 0
        await load.seen(60)
        after = {(one.pid, one.kind) for one in own.processes()}
        assert before <= after
        refused = own.cli("status")
        assert refused.code == 6
        own.start()
        await load.seen(30)
    assert load.report().failures == {}
    again = own.cli("deploy", app.path, "--to", "production")
    assert again.code == 0, again
    assert before <= {(one.pid, one.kind) for one in own.processes()}, "it was taken over"


@pytest.mark.anyio
async def test_another_installation_renews_the_agent_and_nothing_else(
    own: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.app(tmp_path, "shop")
    assert own.cli("deploy", project.path, "--to", "production").code == 0
    before = {(one.pid, one.kind) for one in own.processes() if one.kind != "server"}
    monkeypatch.setattr(stand, "PROGRAM", installed_elsewhere(tmp_path / "venv"))
    async with Load([Target("127.0.0.1", own.http_port, host="shop.localhost")], rate=50) as load:
        await load.seen(30)
        assert own.stop_server(signal.SIGTERM) == 0
        own.start()
        await load.seen(60)
    assert load.report().failures == {}
    after = {(one.pid, one.kind) for one in own.processes() if one.kind != "server"}
    assert {kind for _, kind in before - after} == {"agent"}, "everything else goes on"
    assert {kind for _, kind in after - before} == {"agent"}
    assert json.loads((own.data / "host" / "agent.json").read_text())["prefix"] == str(
        tmp_path / "venv"
    )
    assert own.cli("deploy", project.path, "--to", "production").code == 0


def installed_elsewhere(prefix: Path) -> Path:
    """Return a ``turnout`` that runs the same code in another virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    packages = next(prefix.glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text("".join(f"{p}\n" for p in sys.path if Path(p).is_absolute()))
    program = prefix / "bin" / "turnout"
    program.write_text(
        f"#!{prefix}/bin/python\nfrom turnout.bootstrap import main\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    program.chmod(0o755)
    return program


def test_stop_apps_leaves_nothing_running(tmp_path: Path) -> None:
    with Stand(options=("--stop-apps",)) as own:
        own.start()
        app = projects.app(tmp_path, "shop")
        assert own.cli("deploy", app.path, "--to", "production").code == 0
        assert own.stop_server() == 0
        eventually(lambda: not own.processes(), 15.0, "something still runs")
        own.start()
        eventually(lambda: own.ask("/", "shop.localhost").status == 200, 30.0)


def test_a_second_server_on_the_same_data_is_refused(own: Stand) -> None:
    http = f"127.0.0.1:{free_port()}"
    second = own.run(
        "up", "--data", own.data, "--listen", "127.0.0.1:0", "--http", http, timeout=30
    )
    assert second.code == 7, second
    assert str(own.pid) in second.said
    assert own.cli("status").code == 0


@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_a_taken_port_is_named(option: str, tmp_path: Path) -> None:
    with Stand() as own, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--listen": str(own.port), "--http": str(own.http_port), option: str(port)}
        argv = [part for name, text in ports.items() for part in (name, f"127.0.0.1:{text}")]
        ended = own.run("up", "--data", own.data, *argv, timeout=90)
        assert ended.code not in (0, None)
        assert str(port) in ended.said
        assert "Traceback" not in ended.said


def test_nothing_is_told_without_a_token(own: Stand) -> None:
    public = {"/api/v1/openapi.json", "/api/v1/health"}
    description = own.ask(
        "/api/v1/openapi.json", port=own.port, headers={"Authorization": f"Bearer {own.token}"}
    )
    assert description.status == 200
    paths = json.loads(description.body)["paths"]
    assert len(paths) > 10
    for path, methods in paths.items():
        for method in methods:
            plain = path.replace("{", "").replace("}", "")
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic Og=="}):
                answer = own.ask(plain, method=method.upper(), port=own.port, headers=headers)
                if path not in public:
                    assert answer.status == 401, (method, path, answer.status)
                    assert answer.headers["content-type"] == "application/problem+json"


def test_secrets_are_found_nowhere_but_where_they_belong(own: Stand, tmp_path: Path) -> None:
    project = projects.app(tmp_path, "shop")
    ready = json.loads((own.base / "up-1.out").read_text().splitlines()[0])
    code = ready["login_url"].partition("code=")[2]
    assert own.cli("deploy", project.path, "--to", "production").code == 0
    wrong = own.run("status", "--token", own.token + "x")
    assert wrong.code != 0
    page = own.ask("/", port=own.port)
    events = own.run("events", "--json").out
    secrets = [own.token.encode(), code.encode()]
    secrets += [
        path.read_bytes()[:32] for path in (own.data / "keys").rglob("*.key") if path.is_file()
    ]
    assert len(secrets) >= 4
    texts = {"events": events.encode(), "page": page.body, "said": wrong.said.encode()}
    for path in own.data.rglob("*"):
        if path.is_file() and "keys" not in path.relative_to(own.data).parts:
            texts[str(path)] = path.read_bytes()
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"a secret stands in {name}"
    for process in own.processes():
        words = " ".join(process.words).encode()
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert all(secret not in words + environment for secret in secrets), process


def test_what_is_private_is_readable_by_its_owner_only(own: Stand, tmp_path: Path) -> None:
    project = projects.site(tmp_path, "docs")
    assert own.cli("deploy", project.path, "--to", "production").code == 0
    places = [own.data, own.base / "config" / "turnout" / "credentials.json"]
    places += [p for p in own.data.rglob("*") if p.parent == own.data or "keys" in p.parts]
    open_ones = [
        str(path)
        for path in places
        if not path.is_symlink() and stat.S_IMODE(os.lstat(path).st_mode) & 0o077
    ]
    assert open_ones == []
