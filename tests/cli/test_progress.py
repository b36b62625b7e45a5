"""Progress: the live picture and the plain lines tell the same story."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli.documents import deployment
from tests.cli.fake_server import FakeServer
from turnout.cli.board import Board
from turnout.cli.live import LiveProgress
from turnout.cli.progress import Progress
from turnout.cli.rendering import event_line
from turnout.wire.api import DeploymentDetail, Event


def board(**more: Any) -> Board:
    return Board.of(DeploymentDetail.model_validate(deployment(**more)))


def event(kind: str, **data: Any) -> Event:
    return Event.model_validate(
        {"seq": 1, "at": "2026-01-01T00:00:00Z", "kind": kind, "data": data}
    )


def test_phases_of_both_kinds() -> None:
    assert len(board(phases=[]).phases) == 7
    back = board(kind="rollback", phases=[])
    assert [line.name for line in back.phases] == [
        "initiation",
        "preparation",
        "execution",
        "verification",
    ]
    assert "Rolling back shop/production" in back.title


def test_what_the_events_tell() -> None:
    state = board()
    step = {"phase": "staging", "title": "place files", "host": "local"}
    assert state.apply(event("deployment.started", status="running")) == ""
    assert state.apply(event("phase.started", phase="staging")) == ""
    assert state.apply(event("step.started", **step, attempt=1)) == ""
    assert state.phases[2].step == "place files on local"
    assert state.apply(event("step.failed", **step, error="no")) == ""
    assert "again in 0.5 s: no" in state.apply(
        event("step.retry", **step, delay_s=0.5, error="no\nmore")
    )
    assert state.apply(event("step.done", **step)) == ""
    later = event("phase.finished", phase="staging", status="done")
    later = later.model_copy(update={"at": later.at + timedelta(seconds=2.5)})
    assert state.apply(later) == "staging: done, 2.5 s"
    assert "NOT taken back" in state.apply(event("step.undo_failed", **step, error="stuck"))
    assert state.apply(event("deployment.paused", status="paused", reason="lunch")) == (
        "deployment: paused: lunch"
    )
    state.apply(event("phase.started", phase="rollback.execution"))
    assert state.phases[-1].name == "rollback.execution"
    assert state.apply(event("something.new", a=1)) == ""
    state.apply(event("deployment.finished", status="failed"))
    assert state.status == "failed"


def test_a_long_wait_in_the_queue_is_said() -> None:
    state = board(created_at="2026-01-01T00:00:00Z")
    started = event("deployment.started", status="running")
    assert state.apply(started) == ""
    later = started.model_copy(update={"at": started.at + timedelta(seconds=75)})
    assert state.apply(later) == "queue: 1 m 15 s, its turn now"


def test_a_failed_phase_names_its_step_once() -> None:
    state = board()
    state.apply(event("phase.started", phase="validation"))
    step = {"phase": "validation", "title": "wait until it is healthy on local", "host": "local"}
    assert state.apply(event("step.failed", **step, error="exit code 1")) == ""
    assert state.apply(event("phase.finished", phase="validation", status="failed")) == (
        "validation: failed, 0 ms: wait until it is healthy on local"
    )
    assert state.apply(event("step.undoing", **step)) == ""
    assert state.apply(event("step.undone", **step)) == ""


def test_a_quick_upload_is_one_line(capsys: Any) -> None:
    plain = Progress()
    plain.uploading(0, 53, 0)
    plain.uploading(53, 53, 0)
    assert capsys.readouterr().err == "upload: 53 B sent\n"
    plain.uploading(0, 0, 10)
    assert capsys.readouterr().err == "upload: nothing to send; 10 B were there already\n"


def test_a_slow_upload_says_how_far_it_is(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Progress()
    plain.uploading(0, 3000, 500)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2.5)
    plain.uploading(1000, 3000, 500)
    plain.uploading(2000, 3000, 500)
    plain.uploading(3000, 3000, 500)
    assert capsys.readouterr().err.splitlines() == [
        "upload: 1.0 kB of 3.0 kB; 500 B were there already",
        "upload: 3.0 kB sent; 500 B were there already",
    ]


def test_the_live_picture() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, no_color=True)
    live = LiveProgress(console)
    try:
        live.packaging(1, 3)
        live.uploading(500, 1000, 20)
        live.follow(board())
        live.event(event("phase.started", phase="staging"))
        live.event(event("step.started", phase="staging", title="place \x1b[2J files"))
        live.away(True)
        live.note("[bold]not markup[/bold]")
    finally:
        live.close()
    shown = screen.getvalue()
    for part in ("500 B of 1.0 kB", "staging", "reconnecting", "[bold]not markup"):
        assert part in shown
    assert "\x1b[2J" not in shown and "place \\x1b[2J files" in shown


def test_plain_lines_have_no_escape(capsys: Any) -> None:
    plain = Progress()
    plain.follow(board())
    step = {"phase": "staging", "title": "a \x1b[31m b", "error": "\x1b[2J"}
    plain.event(event("step.retry", **step, delay_s=1))
    plain.uploading(0, 0, 10)
    said = capsys.readouterr().err
    assert "a \\x1b[31m b" in said and "\x1b" not in said


def test_on_a_terminal(fake: FakeServer, site: Path) -> None:
    """The picture goes to the terminal on stderr; stdout stays one JSON document."""
    import json

    code = "from turnout.cli.app import app; app()"
    for extra, colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", code, "deploy", "--to", "production", "--json"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **extra},
        )
        os.close(theirs)
        screen = bytearray()
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            screen += piece
        out, _ = process.communicate(timeout=30)
        os.close(ours)
        assert process.returncode == 0
        assert json.loads(out)["status"] == "succeeded"
        assert "✔" in screen.decode() and b"cleanup" in screen
        assert (b"\x1b[32m" in screen) is colour


def test_an_event_is_one_readable_line() -> None:
    step = {"step": 1, "phase": "staging", "action": "stage", "title": "stage it", "host": "web-1"}
    done = event_line(event("step.done", **step, attempt=1, result={"path": "/d", "n": [1]}))
    assert done.endswith(" - - step.done  staging: stage it on web-1")
    again = event_line(event("step.retry", **step, attempt=2, delay_s=0.5, error="no\x1b"))
    assert again.endswith("stage it on web-1  attempt=2  delay_s=0.5  error=no\\x1b")
    assert event_line(event("phase.finished", phase="staging", status="done")).endswith(
        "phase.finished  staging  status=done"
    )
    queued = event_line(event("deployment.queued", by="admin", release="ab" * 32, why=None))
    assert queued.endswith("deployment.queued  by=admin  release=abababababab")


def test_a_wait_stands_until_it_is_over() -> None:
    state = board()
    state.apply(event("gate.waiting", name="qa", kind_of_gate="approval"))
    assert f"`turnout approve {state.deployment}`" in state.wait
    state.apply(event("verdict.changed", verdict="good", reason="fine"))
    assert "approve" in state.wait, "what happens meanwhile ends no wait"
    screen = io.StringIO()
    live = LiveProgress(Console(file=screen, force_terminal=True, width=200, no_color=True))
    try:
        live.follow(state)
        live.event(event("decision.made", what="go-on", weight=5, reason="no worse"))
    finally:
        live.close()
    shown = screen.getvalue()
    assert "waiting for approval 'qa'" in shown and "decided: go on at 5 %: no worse" in shown
    assert state.apply(event("deployment.going_on", status="running")) == ""
    assert state.wait == ""
