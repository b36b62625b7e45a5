"""Fixtures of the command line's tests: a home of one's own, a server, a project, a runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.fake_server import TOKEN, FakeServer, Running
from turnout.cli import client as clients
from turnout.cli import credentials
from turnout.cli.app import app

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the developer's machine may reach a test, nor the other way round."""
    base = tmp_path / "home"
    base.mkdir()
    monkeypatch.setenv("HOME", str(base))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))
    for name in ("TURNOUT_URL", "TURNOUT_TOKEN", "TURNOUT_FINGERPRINT", "TURNOUT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(clients, "FIRST_CONTACT_S", 0.2)
    return base


@pytest.fixture
def running() -> Iterator[Running]:
    server = Running(FakeServer())
    yield server
    server.stop(wait=False)  # it ends by itself a tenth of a second later


@pytest.fixture
def fake(running: Running) -> FakeServer:
    credentials.save(running.fake.url, TOKEN)
    return running.fake


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A static project in the current directory."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "app.css").write_text("body{}" * 1000)
    (root / "turnout.toml").write_text('project = "shop"\n')
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run() -> Run:
    """Run a command and return what came of it."""
    runner = CliRunner()

    def invoke(*words: str, env: dict[str, str] | None = None) -> Result:
        result = runner.invoke(app, list(words), env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
