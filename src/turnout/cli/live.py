"""The live picture of a deployment on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from turnout.cli.problems import visible
from turnout.cli.progress import Progress, elapsed_text, upload_text
from turnout.cli.values import show_duration

if TYPE_CHECKING:
    from turnout.cli.board import Board, PhaseLine
    from turnout.wire.api import Event

_STAY = ("step.retry", "step.undo_failed", "gate.opened", "decision.made", "verdict.changed")
"""Events whose line stays on the screen; the picture shows the others."""
_STYLES = {"pending": "dim", "running": "bold", "done": "green", "failed": "red"}


class LiveProgress(Progress):
    """Redraws in place: the upload, the phases with ticks, the current step, the time."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console or Console(stderr=True, highlight=False)
        # A terminal that is not Unicode gets letters for ticks.
        unicode = (self._console.encoding or "").lower().startswith("utf")
        self._ticks = {"done": "✔", "failed": "✘"} if unicode else {"done": "+", "failed": "x"}
        self._spinner = Spinner("dots" if unicode else "line")
        self._upload: tuple[int, int, int] | None = None
        self._packaging: tuple[int, int] | None = None
        self._live = Live(get_renderable=self._picture, console=self._console, refresh_per_second=8)
        self._live.start()

    def close(self) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._console.print(Text(visible(text)))

    def build_line(self, text: str) -> None:
        self._console.print(Text(f"  | {visible(text)}", style="dim"))

    def packaging(self, done: int, total: int) -> None:
        self._packaging = (done, total)

    def uploading(self, sent: int, total: int, reused: int) -> None:
        self._packaging = None
        self._upload = (sent, total, reused)

    def follow(self, board: Board) -> None:
        self.board = board

    def event(self, event: Event) -> None:
        if self.board is None:
            return
        line = self.board.apply(event)
        if line and event.kind in _STAY:
            self.note(line)

    def away(self, away: bool) -> None:
        if self.board is not None:
            self.board.away = away

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._packaging is not None:
            done, total = self._packaging
            parts.append(_bar("packaging", done, total, f"{done} of {total} files"))
        if self._upload is not None:
            sent, total, reused = self._upload
            parts.append(_bar("upload", sent, total, upload_text(sent, total, reused)))
        if self.board is not None:
            parts.append(self._head(self.board))
            parts.append(self._phases(self.board))
            if self.board.wait:
                parts.append(Text(f"  {visible(self.board.wait)}", style="yellow"))
        return Group(*parts)

    def _head(self, board: Board) -> Text:
        head = Text(visible(board.title), style="bold")
        head.append(f"  {board.deployment}", style="dim")
        head.append(f"  {elapsed_text(time.monotonic() - board.since)}", style="dim")
        if board.away:
            head.append("  reconnecting", style="yellow")
        elif board.status not in ("running", "succeeded"):
            head.append(f"  {board.status}", style="yellow")
        return head

    def _phases(self, board: Board) -> Table:
        table = Table.grid(padding=(0, 1))
        for line in board.phases:
            style = _STYLES.get(line.status, "")
            tick: RenderableType = Text(self._ticks.get(line.status, " "), style=style)
            if line.status == "running":
                tick = self._spinner
            table.add_row(" ", tick, Text(line.name, style=style), _detail(line))
        return table


def _detail(line: PhaseLine) -> Text:
    if line.took is not None:
        return Text(show_duration(line.took), style="dim")
    return Text(visible(line.step), style="dim", overflow="ellipsis", no_wrap=True)


def _bar(name: str, done: int, total: int, text: str) -> Table:
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(total, 1), completed=done if total else 1, width=24)
    row.add_row(Text(name), bar, Text(text, style="dim"))
    return row
