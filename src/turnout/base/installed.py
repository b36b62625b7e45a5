"""Which installation of Turnout this process runs from: its version, interpreter and place."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import turnout


def installed() -> dict[str, str]:
    """Return what tells this installation from others, as plain JSON values.

    Two processes with equal answers run the same code with the same interpreter.  The prefix is
    compared and not the executable, which has several names within one environment.
    """
    return {
        "version": turnout.__version__,
        "python": platform.python_version(),
        "prefix": sys.prefix,
        "package": str(Path(turnout.__file__).parent),
    }
