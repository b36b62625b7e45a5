"""Failpoints act once each, and only when a test asked for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.base import failpoints
from turnout.base.errors import Failed


def test_without_the_variable_nothing_happens() -> None:
    failpoints.hit("any.name")


def test_a_failure_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "points"
    path.write_text("a.before=fail\nb.before=fail\n")
    monkeypatch.setenv(failpoints.VARIABLE, str(path))
    failpoints.hit("c.before")
    with pytest.raises(Failed, match="failpoint"):
        failpoints.hit("a.before")
    failpoints.hit("a.before")
    with pytest.raises(Failed):
        failpoints.hit("b.before")


def test_a_kill_is_a_kill_and_the_next_process_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "points"
    path.write_text("x.inside=kill\n")
    program = "from turnout.base import failpoints; failpoints.hit('x.inside'); print('on')"
    environment = {failpoints.VARIABLE: str(path)}
    run = [sys.executable, "-c", program]
    first = subprocess.run(run, env=environment, capture_output=True, timeout=30)
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run(run, env=environment, capture_output=True, timeout=30)
    assert second.stdout == b"on\n"


def test_a_missing_file_is_no_wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, str(tmp_path / "none"))
    failpoints.hit("a.before")


def test_an_unknown_action_is_a_mistake_of_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "points"
    path.write_text("a=explode\n")
    monkeypatch.setenv(failpoints.VARIABLE, str(path))
    with pytest.raises(ValueError, match="explode"):
        failpoints.hit("a")
