"""The locator: every key and value is where it says, in any style of TOML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from turnout.cli.locator import Path, Position, Positions, locate

KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12),
    st.datetimes(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


class Writer:
    """Writes a document in a style that is drawn, and notes where everything begins."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}

    def write(self, document: dict[str, Any]) -> None:
        tables = []
        for key, value in document.items():
            as_table = isinstance(value, dict) and self.draw(st.booleans())
            as_tables = _is_tables(value) and self.draw(st.booleans())
            if as_table or as_tables:
                tables.append((key, value))
            else:
                self.pair((key,), value)
                self.text += self.draw(st.sampled_from(["\n", " # a = [1\n", "\n\n\t\n"]))
        for key, value in tables:
            for index, table in enumerate(value if isinstance(value, list) else [value]):
                array = isinstance(value, list)
                path: Path = (key, index) if array else (key,)
                self.text += " " * self.draw(st.integers(0, 2))
                self.values.setdefault(path, self.here())
                self.text += "[[ " if array else "["
                self.keys.setdefault((key,), self.here())
                self.text += self.key(key) + ("]]" if array else " ]") + "\n"
                for name, inner in table.items():
                    self.pair((*path, name), inner)
                    self.text += "\n"

    def pair(self, path: Path, value: Any) -> None:
        parent, name = path[:-1], str(path[-1])
        self.keys.setdefault((*parent, name), self.here())
        self.text += self.key(name)
        # A dotted key, where the value is a table with one entry.
        while isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            (inner, value), *_ = value.items()
            self.text += self.draw(st.sampled_from([".", " . "]))
            path = (*path, inner)
            self.keys.setdefault(path, self.here())
            self.text += self.key(inner)
        self.text += self.draw(st.sampled_from(["=", " = ", "\t=  "]))
        self.value(path, value)

    def value(self, path: Path, value: Any) -> None:
        self.values[path] = self.here()
        if isinstance(value, list):
            self.text += self.draw(st.sampled_from(["[", "[ # ]\n\n  "]))
            for index, item in enumerate(value):
                self.value((*path, index), item)
                if index < len(value) - 1:
                    self.text += self.draw(st.sampled_from([",", " ,\n # x,\n"]))
            self.text += "]"
        elif isinstance(value, dict):
            self.text += "{"
            for index, (key, item) in enumerate(value.items()):
                self.text += ", " if index else " "
                self.pair((*path, key), item)
            self.text += " }"
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += tomlkit.item(value).as_string()

    def string(self, value: str) -> str:
        if "'" not in value and value.isprintable() and self.draw(st.booleans()):
            return f"'{value}'"
        basic = tomlkit.string(value).as_string()
        return '""' + basic + '""' if self.draw(st.booleans()) else basic

    def key(self, name: str) -> str:
        bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
        if bare and self.draw(st.booleans()):
            return name
        return tomlkit.string(name).as_string()

    def here(self) -> Position:
        line = self.text.count("\n") + 1
        return Position(line, len(self.text) - (self.text.rfind("\n") + 1) + 1)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


@given(st.data())
def test_everything_is_where_it_was_written(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    writer = Writer(data.draw)
    writer.write(document)
    assert tomllib.loads(writer.text) == document, writer.text
    found = locate(writer.text)
    assert found.keys == writer.keys, writer.text
    assert {k: v for k, v in found.values.items() if k in writer.values} == writer.values
    assert locate(writer.text.replace("\n", "\r\n")) == found


@given(st.text(st.sampled_from("a.b=[]{}\"'#\\\n ,1")))
def test_whatever_the_parser_takes_is_located(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    paths = set(_paths(document, ()))
    found = locate(text)
    assert set(found.keys) <= paths
    assert {path for path in paths if isinstance(path[-1], str)} <= set(found.keys)


def _paths(node: Any, path: Path) -> list[Path]:
    pairs: Any = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [p for key, value in pairs for p in [(*path, key), *_paths(value, (*path, key))]]


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        ("[a]\n[a.b]\nc = 1", ("a", "b", "c"), 3, 1),
        ("[[a]]\n[[a]]\nx=1\n[a.s]\ny=2", ("a", 1, "s", "y"), 5, 1),
        ('s = """\nx = 1\n"""\ny = 2', ("y",), 4, 1),
        ("s = '''a''''\ny = 2", ("y",), 2, 1),
        ('"ä.ö".c = 1', ("ä.ö", "c"), 1, 7),
        ("a = { b = [ {c = 1}, {d = 2} ] }", ("a", "b", 1, "d"), 1, 23),
    ],
)
def test_places(text: str, path: Path, line: int, column: int) -> None:
    assert locate(text).of_key(path) == Position(line, column)


def test_what_is_not_there_is_at_its_parent() -> None:
    found = locate("[a]\nb = 1\n")
    assert found.of_key(("a", "missing", "x")) == Position(1, 2)
    assert found.of_value(("a", "b")) == Position(2, 5)
    assert Positions().of_value(("x",)) == Position(1, 1)
