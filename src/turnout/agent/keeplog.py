"""The log of one instance: what its app wrote, as JSON lines in numbered files.

Used by the keeper, so it needs the standard library only.  Readers name a place in the log
by a file's number and an offset; files are only appended to, and the oldest goes.
"""

# ruff: noqa: PTH103, PTH108, PTH118, PTH208
# pathlib would cost the keeper of every instance a megabyte.

from __future__ import annotations

import contextlib
import json
import os
import time

LINE_LIMIT = 16 << 10
"""Bytes of one log line; the rest of a longer one is counted, not kept."""
SEGMENT_BYTES = 4 << 20
SEGMENTS = 4
"""A log is at most this many files of SEGMENT_BYTES each; the oldest goes."""
RATE_BYTES = 8 << 20
"""Bytes of output a second that are kept; more is read, so as not to stop the app, and counted."""


class Log:
    """Numbered files of JSON lines, of bounded total size; a full disk only loses lines."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._directory = directory
        self._number = 0
        self._descriptor = -1
        self._size = 0
        self._open(max(self._numbers(), default=1))

    def write(self, stream: str, texts: list[str]) -> None:
        """Append one line for each of *texts*."""
        at = round(time.time(), 4)
        data = "".join(
            json.dumps({"at": at, "stream": stream, "text": text}, separators=(",", ":")) + "\n"
            for text in texts
        ).encode()
        with contextlib.suppress(OSError):
            if self._size + len(data) > SEGMENT_BYTES and self._size:
                self._open(self._number + 1)
            self._size += os.write(self._descriptor, data)

    def _open(self, number: int) -> None:
        path = os.path.join(self._directory, f"{number:08d}.jsonl")
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._number, self._descriptor = number, opened
        self._size = os.fstat(opened).st_size
        if self._size and os.pread(opened, 1, self._size - 1) != b"\n":
            with contextlib.suppress(OSError):
                os.write(opened, b"\n")  # a keeper before us died in the middle of a line
        for number in self._numbers():
            if number <= self._number - SEGMENTS:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._directory, f"{number:08d}.jsonl"))

    def _numbers(self) -> list[int]:
        names = [name.partition(".") for name in os.listdir(self._directory)]
        return [int(stem) for stem, _, end in names if end == "jsonl" and stem.isdigit()]


class Lines:
    """The lines of one output stream, cut to LINE_LIMIT and to RATE_BYTES a second."""

    def __init__(self) -> None:
        self._rest = b""
        self._over = 0
        self._second = 0
        self._budget = 0
        self._dropped = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that *data* completes."""
        second = int(time.monotonic())
        note: list[str] = []
        if second != self._second:
            if self._dropped:
                note = [f"[{self._dropped} bytes of output were dropped: too much in a second]"]
            self._second, self._budget, self._dropped = second, RATE_BYTES, 0
        self._budget -= len(data)
        if self._budget < 0:
            self._dropped += len(data)
            return note
        *whole, rest = (self._rest + data).split(b"\n")
        texts = []
        for line in whole:
            texts.append(_text(line, self._over))
            self._over = 0
        self._over += max(0, len(rest) - LINE_LIMIT)
        self._rest = rest[:LINE_LIMIT]
        return note + texts

    def end(self) -> list[str]:
        """Return the unfinished last line, if there is one."""
        rest, over, self._rest, self._over = self._rest, self._over, b"", 0
        return [_text(rest, over)] if rest else []


def _text(line: bytes, over: int) -> str:
    over += max(0, len(line) - LINE_LIMIT)
    text = line[:LINE_LIMIT].decode(errors="replace").rstrip("\r")
    return f"{text} [{over} bytes more]" if over else text
