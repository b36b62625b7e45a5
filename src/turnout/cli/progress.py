"""Progress on standard error: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from turnout.cli import output
from turnout.cli.problems import visible
from turnout.cli.values import show_bytes, show_duration

if TYPE_CHECKING:
    from turnout.cli.board import Board
    from turnout.wire.api import Event


_UPLOAD_S = 2.0
"""Seconds between two lines about one upload."""


class Progress:
    """Plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self.board: Board | None = None
        self._said_upload = 0.0

    def close(self) -> None:
        """End the showing; the last state stays on the screen."""

    def note(self, text: str) -> None:
        """Show a line that stays."""
        output.err(visible(text))

    def build_line(self, text: str) -> None:
        """Show a line that the build printed."""
        self.note(f"  | {text}")

    def packaging(self, done: int, total: int) -> None:
        """Show how many files were read; only a live picture does."""

    def uploading(self, sent: int, total: int, reused: int) -> None:
        """Show how much of the missing content has arrived, in bytes."""
        if not sent and total:
            self._said_upload = time.monotonic()  # it begins; a quick one is told once, at its end
        elif sent == total or time.monotonic() - self._said_upload >= _UPLOAD_S:
            self._said_upload = time.monotonic()
            self.note(f"upload: {upload_text(sent, total, reused)}")

    def follow(self, board: Board) -> None:
        """Begin to show a deployment."""
        self.board = board
        self.note(f"{board.title} ({board.deployment})")
        if board.wait:
            self.note(board.wait)

    def event(self, event: Event) -> None:
        """Show what happened in the deployment."""
        if self.board is not None and (line := self.board.apply(event)):
            self.note(line)

    def away(self, away: bool) -> None:
        """Show that the server is away, or back."""
        self.note("reconnecting: the server does not answer" if away else "connected again")


def open_progress() -> Progress:
    """Return the progress that fits standard error."""
    if not sys.stderr.isatty():
        return Progress()
    from turnout.cli.live import LiveProgress

    return LiveProgress()


def upload_text(sent: int, total: int, reused: int) -> str:
    """Return how far an upload is, in words."""
    there = f"; {show_bytes(reused)} were there already" if reused else ""
    if not total:
        return f"nothing to send{there}"
    if sent == total:
        return f"{show_bytes(total)} sent{there}"
    return f"{show_bytes(sent)} of {show_bytes(total)}{there}"


def elapsed_text(seconds: float) -> str:
    """Return a running time, without the digits that would flicker."""
    return show_duration(seconds) if seconds >= 1 else "0.0 s"
