"""A selective rollback: code and configuration of two different times, put together anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from turnout.base.errors import Impossible, InvalidInput
from turnout.wire.project import Intent

Only = Literal["configuration", "code"]


@dataclass(frozen=True)
class Version:
    """What was live at one time: a release and the configuration it ran with."""

    release: str
    intent: Intent


def compose(live: Version, target: Version, only: Only | None) -> Version:
    """Return what a rollback to *target* shall bring.

    Args:
        live: What is live now.
        target: What was live then.
        only: ``configuration``: the live code with the configuration of then; ``code``: the
            code of then with the live configuration; None: both as they were then.

    Raises:
        Impossible: Nothing would change.
        InvalidInput: Code and configuration do not fit: one is a static site's, the other a
            server app's.
    """
    if only is None:
        return target
    code, configuration = (target, live) if only == "code" else (live, target)
    scope = f"{live.intent.project}/{live.intent.environment}"
    if (code.intent.component.static is None) != (configuration.intent.component.static is None):
        raise InvalidInput(
            "The code of one time does not fit the configuration of the other",
            subject=scope,
            why="one is a static site, the other a server app",
            next_step="Roll back both: leave out what restricts the rollback.",
        )
    found = Version(code.release, configuration.intent)
    if found == live:
        raise Impossible(
            f"The {only} of then is what is live now",
            subject=scope,
            next_step="Name another release with --to; 'turnout releases' lists them.",
        )
    return found
