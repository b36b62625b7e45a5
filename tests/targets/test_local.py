"""The agent of this machine is renewed by another installation, and only when a server starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from turnout.base.installed import installed
from turnout.targets import local

pytestmark = pytest.mark.anyio
HTTP = ("127.0.0.1", 8080)
PID = 4242


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An agent answers; what is ended of it, and what is started, is noted."""
    found: list[int] = []

    async def answering(_host: str, _socket: Path) -> int:
        return PID

    async def end(pid: int) -> None:
        found.append(pid)

    monkeypatch.setattr(local, "_answering", answering)
    monkeypatch.setattr(local, "_end", end)
    monkeypatch.setattr(local, "_spawn", lambda *_: Started())
    monkeypatch.setattr(local, "_first_line", lambda *_: b"ready\n")
    return found


class Started:
    """A process that has just been started."""

    def __init__(self) -> None:
        self.stdout = open(os.devnull, "rb")  # noqa: SIM115 - closed by who is tested

    def poll(self) -> None: ...


def report(data: Path, **changed: str) -> None:
    known = {"pid": PID, "http": "127.0.0.1:8080", **installed(), **changed}
    (data / "agent.json").write_text(json.dumps(known))


async def test_one_of_the_same_installation_stays(tmp_path: Path, ended: list[int]) -> None:
    report(tmp_path)
    await local.ensure_agent(tmp_path, tmp_path, "local", HTTP)
    assert ended == []


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("version", "0.0.1"),
        ("python", "3.10.0"),
        ("prefix", "/venv/of/yesterday"),
        ("package", "/else/turnout"),
        ("http", "127.0.0.1:8081"),
    ],
)
async def test_another_is_renewed(tmp_path: Path, ended: list[int], fact: str, value: str) -> None:
    report(tmp_path, **{fact: value})
    await local.ensure_agent(tmp_path, tmp_path, "local", HTTP, renew=False)
    assert ended == [], "a server that runs leaves it alone"
    await local.ensure_agent(tmp_path, tmp_path, "local", HTTP)
    assert ended == [PID]


async def test_one_of_an_older_release_that_says_less_is_renewed(
    tmp_path: Path, ended: list[int]
) -> None:
    known = {"pid": PID, "http": "127.0.0.1:8080", "version": installed()["version"]}
    (tmp_path / "agent.json").write_text(json.dumps(known))
    await local.ensure_agent(tmp_path, tmp_path, "local", HTTP)
    assert ended == [PID]
