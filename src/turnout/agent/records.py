"""Small JSON files that the agent remembers things in: whole or absent, owner only."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from turnout.packages.disk import explained, write_whole

Model = TypeVar("Model", bound=BaseModel)


def write(path: Path, document: dict[str, Any] | BaseModel) -> None:
    """Write *document* to *path*, durably and in one step.

    Raises:
        Exhausted: The disk is full; what was there before stays.
    """
    text = document.model_dump_json() if isinstance(document, BaseModel) else json.dumps(document)
    with explained("A record cannot be written", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, [text.encode()])


def read(path: Path) -> dict[str, Any] | None:
    """Return the document at *path*; None if there is none, or it is not one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_as(path: Path, model: type[Model]) -> Model | None:
    """Return the *model* at *path*; None if there is none, or another version wrote it."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def remove(path: Path) -> None:
    """Remove a record and the directories that it leaves empty, at most two up."""
    path.unlink(missing_ok=True)
    remove_empty(path.parent, levels=2)


def remove_empty(directory: Path, *, levels: int) -> None:
    """Remove *directory* if it is empty, then what holds it, at most *levels* of them."""
    with contextlib.suppress(OSError):
        for path in [directory, *directory.parents][:levels]:
            path.rmdir()


def entries(directory: Path) -> Iterator[Path]:
    """Yield what is in *directory*, sorted; nothing if it does not exist."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from sorted(directory.iterdir())
