"""What was found out about a project that has no ``turnout.toml`` yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

MAX_READ = 256 * 1024
"""Bytes of a source file that are looked at; what tells the kind stands near the top."""


@dataclass(frozen=True)
class Found:
    """How a project seems to be built and run.

    Attributes:
        kind: What it is, for people, such as ``a Vite app``.
        run: The argument vector of a server app; empty for a static site.
        build: The argument vector that builds it; empty if nothing is built.
        output: What is packaged, relative to the project.
        port_env: The variable that the program reads its port from.
        spa: Whether unknown paths of a static site get ``index.html``.
        env: Variables that it needs to be reachable or to run in production.
        because: The evidence, one short sentence each.
        notes: What the reader should check.
    """

    kind: str
    run: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    output: str = "."
    port_env: str = "PORT"
    spa: bool = False
    env: dict[str, str] = field(default_factory=dict)
    because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def name_of(directory: Path) -> str:
    """Return a project's name made from that of its *directory*."""
    name = re.sub(r"[^a-z0-9]+", "-", directory.resolve().name.lower()).strip("-")
    return name[:40].strip("-") or "site"


def text_of(path: Path) -> str:
    """Return the beginning of a text file; an empty text if there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_READ).decode("utf-8", "replace")
    except OSError:
        return ""
