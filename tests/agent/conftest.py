"""What the agent's tests share: a keeper of any program, and helpers that wait for facts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.agent import keepers


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Kept:
    """One keeper started by a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spec = directory / "spec.json"

    def start(self, program: str | list[str], **changes: Any) -> Kept:
        """Start a keeper of a Python *program* text, or of an argument vector."""
        argv = [sys.executable, "-u", "-c", program] if isinstance(program, str) else program
        for name in ("home", "cwd"):
            (self.directory / name).mkdir(exist_ok=True)
        spec: dict[str, Any] = {
            "instance": "shop/production/0123456789abcdef/0",
            "argv": argv,
            "cwd": str(self.directory / "cwd"),
            "environment": {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home")},
            "port": None,
            "socket": None,
            "status": str(self.directory / "status.json"),
            "lock": str(self.directory / "keeper.lock"),
            "stop": str(self.directory / "stop.json"),
            "logs": str(self.directory / "logs"),
            "stop_grace": 5.0,
            "open_files": 1024,
            "memory_bytes": None,
            "cgroup": None,
        }
        self.spec.write_text(json.dumps({"keeper": spec | changes}))
        asyncio.run(keepers.start(self.spec, self.directory / "keeper.err"))
        return self

    @property
    def pid(self) -> int | None:
        return keepers.holder(self.directory / "keeper.lock")

    def status(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "status.json").read_text()))

    def lines(self, stream: str | None = None) -> list[str]:
        """Return the text of the log, of one stream or of all."""
        found = []
        for path in sorted((self.directory / "logs").glob("*.jsonl")):
            for line in path.read_text().splitlines():
                document = json.loads(line)
                if stream in (None, document["stream"]):
                    found.append(document["text"])
        return found

    def stop(self, grace: float = 0.0) -> float:
        """End it; return the seconds that took."""
        begun = time.monotonic()
        asyncio.run(keepers.stop(self.spec, grace))
        return time.monotonic() - begun


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    keeper = Kept(tmp_path)
    yield keeper
    if keeper.spec.exists():
        keeper.stop()


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return the first true value of *condition*; fail if there is none in time."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
