"""Patterns that people write, matched in linear time whatever the lines hold.

Log lines come from whoever sends requests; Python's own expressions can be made to take hours
by a line that was written for the pattern.  RE2 cannot (https://github.com/google/re2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from turnout.base.errors import InvalidInput

_MOST_CHARS = 1000
_MOST_MEMORY = 8 << 20


@dataclass(frozen=True)
class Pattern:
    """A pattern that was understood."""

    text: str
    _engine: Any

    def matches(self, line: str) -> bool:
        """Return whether the pattern is found anywhere in *line*."""
        # Half of a pair, as a broken line may hold, has no UTF-8.
        clean = line.encode("utf-8", "replace").decode()
        return self._engine.search(clean) is not None


@lru_cache(maxsize=64)
def compiled(text: str) -> Pattern:
    """Return a pattern in RE2's syntax, which knows no look-around and no back references.

    Raises:
        InvalidInput: It is none.
    """
    # Only who uses patterns pays for the engine.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    try:
        if len(text) > _MOST_CHARS:
            raise ValueError(f"it is longer than {_MOST_CHARS} characters")
        return Pattern(text, re2.compile(text, options))
    except (re2.error, ValueError, UnicodeError) as error:
        why = error.args[0] if error.args else "it is not understood"
        raise InvalidInput(
            "This is no pattern",
            subject=text[:60],
            why=why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why),
            next_step="Write it as https://github.com/google/re2/wiki/Syntax says.",
        ) from None
