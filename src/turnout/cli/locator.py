"""Where each key and value of a TOML text stands: line and column by key path.

The standard parser gives values without positions.  This scanner reads a text that it has
already accepted, so it need not judge, only follow: tables, arrays of tables, dotted keys,
inline tables and arrays.  Format: TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


@dataclass(frozen=True)
class Position:
    """A place in a text; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass
class Positions:
    """Where the keys and the values of a document stand."""

    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)

    def of_key(self, path: Path) -> Position:
        """Return where the last key of *path* is written, else where its nearest parent is."""
        return self._nearest(path, self.keys, self.values)

    def of_value(self, path: Path) -> Position:
        """Return where the value at *path* is written, else its key, else its nearest parent."""
        return self._nearest(path, self.values, self.keys)

    @staticmethod
    def _nearest(path: Path, first: dict[Path, Position], second: dict[Path, Position]) -> Position:
        for end in range(len(path), 0, -1):
            found = first.get(path[:end]) or second.get(path[:end])
            if found is not None:
                return found
        return Position(1, 1)


def locate(text: str) -> Positions:
    """Return the positions of all keys and values in *text*.

    Args:
        text: A document that :mod:`tomllib` accepts.
    """
    return _Scanner(text.replace("\r\n", "\n")).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Positions()
        self.array_tables: dict[Path, int] = {}
        """Arrays of tables and the index of their newest element."""
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def run(self) -> Positions:
        table: Path = ()
        self._skip_blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
        return self.found

    def _header(self) -> Path:
        start = self.at
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        names = self._dotted_key()
        path: Path = ()
        for index, (name, where) in enumerate(names):
            path = (*path, name)
            self._note_key(path, where)
            last = index == len(names) - 1
            if last and array:
                self.array_tables[path] = self.array_tables.get(path, -1) + 1
            if path in self.array_tables:
                path = (*path, self.array_tables[path])
        self.found.values.setdefault(path, self._position(start))
        self.at += 2 if array else 1
        return path

    def _pair(self, parent: Path) -> None:
        path = parent
        for name, where in self._dotted_key():
            path = (*path, name)
            self._note_key(path, where)
        self.at += 1  # the equals sign
        self._skip_spaces()
        self._value(path)

    def _dotted_key(self) -> list[tuple[str, int]]:
        names = []
        while True:
            self._skip_spaces()
            start = self.at
            names.append((self._key(), start))
            self._skip_spaces()
            if self.text[self.at : self.at + 1] != ".":
                return names
            self.at += 1

    def _key(self) -> str:
        bare = _BARE.match(self.text, self.at)
        if bare is not None:
            self.at = bare.end()
            return bare[0]
        quoted = self._string()
        return str(tomllib.loads(f"k = {quoted}")["k"])

    def _value(self, path: Path) -> None:
        self.found.values[path] = self._position(self.at)
        first = self.text[self.at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            self._string()
        else:
            self._match(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        self._skip_blank()
        while self.text[self.at] != "]":
            self._value((*path, index))
            index += 1
            self._skip_blank()
            if self.text[self.at] == ",":
                self.at += 1
                self._skip_blank()
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip_blank()
        while self.text[self.at] != "}":
            self._pair(path)
            self._skip_blank()
            if self.text[self.at] == ",":
                self.at += 1
                self._skip_blank()
        self.at += 1

    def _string(self) -> str:
        return self._match(_STRING)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"not TOML at offset {self.at}")
        self.at = found.end()
        return found[0]

    def _skip_spaces(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1

    def _skip_blank(self) -> None:
        self._match(_BLANK)

    def _note_key(self, path: Path, offset: int) -> None:
        self.found.keys.setdefault(path, self._position(offset))

    def _position(self, offset: int) -> Position:
        line = bisect.bisect_right(self._lines, offset)
        return Position(line, offset - self._lines[line - 1] + 1)
