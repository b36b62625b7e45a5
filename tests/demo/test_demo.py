"""`make demo` as a stranger runs it: the whole show, with a project of their own, and cut short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from demo import leftovers
from demo.versions import EXAMPLES

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROOT = EXAMPLES.parent


class Demo:
    """A demo under way; its temporary directories are under one that only this test knows."""

    def __init__(self, directory: Path, *argv: str, **environment: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", *argv],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(directory), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def left(self) -> list[str]:
        """What still runs out of the demo's directory."""
        found = []
        for process in psutil.process_iter():
            try:
                where = [*process.cmdline(), process.cwd()]
            except psutil.Error:
                continue
            if any(str(self.directory) in part for part in where if part):
                found.append(f"{process.pid} {process.name()}")
        return found


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "t"
    place.mkdir()
    yield place
    leftovers.end(place)  # only after a failure there are any


def test_the_show_ends_by_itself_and_nobody_was_failed(directory: Path) -> None:
    demo = Demo(directory)
    out, err = demo.process.communicate(timeout=150)
    assert demo.process.returncode == 0, out + err
    last = out.rstrip("\n").rsplit("\n", 1)[-1]
    match = re.fullmatch(r"requests: (\d+), failed: 0", last)
    assert match
    assert int(match[1]) > 500
    assert out.count("rolled_back") == 6  # three acts, each with its line and its row
    assert out.count("verdict: good") == 1
    assert out.count("verdict: bad") == 2
    assert demo.left() == []
    assert list(directory.iterdir()) == []


def test_a_project_of_ones_own_is_shown(directory: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "turnout.toml").write_text('project = "mine"\n[static]\n')
    (mine / "index.html").write_text("<h1>mine</h1>")
    demo = Demo(directory, str(mine))
    out, err = demo.process.communicate(timeout=150)
    assert demo.process.returncode == 0, out + err
    assert re.fullmatch(r"requests: \d+, failed: 0", out.rstrip("\n").rsplit("\n", 1)[-1])
    assert "mine: broken" in out
    assert demo.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cut_short_it_ends_what_it_started(directory: Path, number: int) -> None:
    demo = Demo(directory)
    assert demo.process.stdout is not None
    for line in demo.process.stdout:
        if "first release" in line:
            break
    assert demo.left()
    demo.process.send_signal(number)
    demo.process.communicate(timeout=60)
    assert demo.process.returncode == 130
    assert demo.left() == []
    assert list(directory.iterdir()) == []


def test_kept_up_it_goes_on_serving_until_it_is_ended(directory: Path) -> None:
    demo = Demo(directory, DEMO_KEEP="1")
    out, err = demo.process.communicate(timeout=150)
    assert demo.process.returncode == 0, out + err
    match = re.search(r"kill -INT (\d+)", out)
    assert match
    server = psutil.Process(int(match[1]))
    assert server.is_running()
    server.send_signal(signal.SIGINT)
    server.wait(timeout=60)
    assert demo.left() == []
