"""What instances use, told of real processes under real keepers."""

from __future__ import annotations

import sys

import psutil
import pytest

from tests.agent.conftest import Kept, eventually, kill
from turnout.agent import usage
from turnout.agent.instance import Instance
from turnout.agent.launch import Record, Status
from turnout.agent.usage import Usage
from turnout.wire import agent as wire
from turnout.wire.project import RunSpec
from turnout.wire.statistics import InstanceUsage

pytestmark = pytest.mark.real
BUSY = (
    "import subprocess, sys, time\n"
    "held = [open('/dev/null') for _ in range(40)]; block = b'x' * (30 << 20)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time\\n"
    "while time.process_time() < 0.3: pass\\nprint(1, flush=True); time.sleep(600)'])\n"
    "time.sleep(600)\n"
)


def instance(kept: Kept) -> Instance:
    wanted = wire.InstanceWanted(
        scope="shop/production",
        revision="0123456789abcdef",
        release="a" * 64,
        index=3,
        run=RunSpec(command=(sys.executable,)),
    )
    record = Record(wanted=wanted, address="127.0.0.1:1", port=1, attempts=0, keeper={})
    status = Status.model_validate(kept.status())
    return Instance(kept.directory, record, status, kept.pid is not None)


def look(room: Usage, kept: Kept) -> InstanceUsage:
    (found,) = room.look([instance(kept)])
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FAMILIES_EVERY", 0.0)


@pytest.mark.usefixtures("at_once")
def test_an_app_is_counted_with_what_it_started_and_without_its_keeper(kept: Kept) -> None:
    kept.start(BUSY)
    eventually(lambda: kept.lines("out"))
    found = look(Usage(), kept)
    app = psutil.Process(kept.status()["pid"])
    (child,) = app.children()
    assert (found.scope, found.revision, found.index) == ("shop/production", "0123456789abcdef", 3)
    assert found.cpu_s >= 0.3
    whole = app.memory_info().rss + child.memory_info().rss
    assert found.memory_bytes == pytest.approx(whole, rel=0.1)
    assert found.memory_bytes > 30 << 20
    assert found.open_files == app.num_fds() + child.num_fds()
    assert found.open_files > 40
    assert (found.restarts, found.started_at) == (0, kept.status()["started_at"])


@pytest.mark.usefixtures("at_once")
def test_what_a_child_had_used_is_not_forgotten(kept: Kept) -> None:
    kept.start(BUSY)
    eventually(lambda: kept.lines("out"))
    room = Usage()
    before = look(room, kept)
    (child,) = psutil.Process(kept.status()["pid"]).children()
    # Nobody waits for it, so the app's own count never learns of what it used.
    kill(child.pid)
    eventually(lambda: child.status() == psutil.STATUS_ZOMBIE)
    after = look(room, kept)
    assert after.cpu_s >= before.cpu_s
    assert after.memory_bytes < before.memory_bytes


def test_an_app_is_there_before_anybody_looked_for_families(kept: Kept) -> None:
    room = Usage()
    room.look([])
    kept.start("import time; print(1, flush=True); time.sleep(600)")
    eventually(lambda: kept.lines("out"))
    assert look(room, kept).memory_bytes > 1 << 20


@pytest.mark.usefixtures("at_once")
def test_an_app_that_crashed_says_how_often_and_begins_anew(kept: Kept) -> None:
    kept.start(
        "import os, time\n"
        "while time.process_time() < 0.2: pass\n"
        "if not os.path.exists('again'): open('again', 'w'); print(1, flush=True); time.sleep(600)\n"
        "print(2, flush=True); time.sleep(600)\n"
    )
    eventually(lambda: kept.lines("out") == ["1"])
    room = Usage()
    first = look(room, kept)
    kill(kept.status()["pid"])
    eventually(lambda: kept.status()["restarts"])
    eventually(lambda: kept.lines("out") == ["1", "2"])
    second = look(room, kept)
    assert (first.restarts, second.restarts) == (0, 1)
    assert second.started_at != first.started_at
    assert first.cpu_s > 0.15
    assert second.cpu_s > 0.15


def test_what_does_not_run_uses_nothing(kept: Kept) -> None:
    kept.start("import time; time.sleep(600)")
    kept.stop()
    found = look(Usage(), kept)
    assert (found.memory_bytes, found.open_files) == (0, 0)
