"""A server on its way up: the command after ``turnout up &`` waits for it and finds its login."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fake_server import TOKEN, FakeServer, Running
from turnout.cli import client as clients
from turnout.cli import credentials
from turnout.cli.starting import START_S, server_starts


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a server that has just begun to start."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "data" / "turnout" / "server.lock"
    path.parent.mkdir(parents=True)
    path.write_text(str(os.getpid()))
    return path


def later(seconds: float, act: object) -> None:
    threading.Timer(seconds, act).start()  # type: ignore[arg-type]


def test_who_starts(lock: Path) -> None:
    assert server_starts()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for text in (str(ended.pid), "", "no number", "0", "-1", "9" * 30):
        lock.write_text(text)
        assert not server_starts(), text
    lock.write_text(str(os.getpid()))
    long_ago = time.time() - START_S - 1
    os.utime(lock, (long_ago, long_ago))
    assert not server_starts()
    lock.unlink()
    assert not server_starts()


def test_waits_for_one_that_starts(
    run: Run, running: Running, fake: FakeServer, site: Path, lock: Path
) -> None:
    running.stop()
    later(0.8, running.start)  # the tests ask an absent server for 0.2 s
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("is starting; waiting") == 1


def test_does_not_wait_for_one_that_does_not(run: Run, site: Path) -> None:
    began = time.monotonic()
    assert run("status", "--server", "http://127.0.0.1:1").exit_code == 6
    assert time.monotonic() - began < 5


def test_takes_the_login_that_is_saved_meanwhile(
    run: Run, running: Running, site: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens before it saves its login, and at another address than the usual one."""
    fake = running.fake
    monkeypatch.setattr(credentials, "DEFAULT_ADDRESS", "http://127.0.0.1:1")
    running.stop()
    later(0.8, running.start)
    later(0.5, lambda: credentials.save(fake.url, "tok-of-before"))
    later(1.2, lambda: credentials.save(fake.url, TOKEN))
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(fake.deployments) == 1


def test_a_token_that_was_given_is_the_only_one(
    run: Run, fake: FakeServer, site: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "LOGIN_S", 0.2)
    result = run("deploy", "--to", "production", "--server", fake.url, "--token", "wrong")
    assert result.exit_code == 3
    assert "A token is needed" in result.stderr
