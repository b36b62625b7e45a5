"""Progress: the live picture and the plain lines tell the same story."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.cli.documents import deployment
from tests.cli.fake_server import FakeServer
from turnout.cli.board import Board
from turnout.cli.live import LiveProgress
from turnout.cli.progress import Progress
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
    assert state.apply(event("phase.started", phase="staging")) == "staging: started"
    line = state.apply(event("step.started", **step, attempt=2))
    assert line == "staging: place files on local (attempt 2)"
    assert "again in 0.5 s: no" in state.apply(
        event("step.retry", **step, delay_s=0.5, error="no\nmore")
    )
    assert "NOT taken back" in state.apply(event("step.undo_failed", **step, error="stuck"))
    assert state.apply(event("phase.finished", phase="staging", status="failed"))
    state.apply(event("phase.started", phase="rollback.execution"))
    assert state.phases[-1].name == "rollback.execution"
    assert state.apply(event("something.new", a=1)) == ""
    state.apply(event("deployment.finished", status="failed"))
    assert state.status == "failed"


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
    plain.event(event("step.started", phase="staging", title="a \x1b[31m b"))
    plain.uploading(0, 0, 10)
    assert "\x1b" not in capsys.readouterr().err


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
