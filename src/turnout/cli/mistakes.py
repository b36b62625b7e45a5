"""Mistakes in ``turnout.toml``: what is wrong, at which line and column, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from turnout.base.errors import InvalidInput
from turnout.cli.filemodels import ProjectFile
from turnout.cli.locator import Path, Position, Positions

MOST_SHOWN = 20
"""A file with more mistakes than this is probably not meant to be a turnout.toml."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
_ALLOWED = {
    "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$": "1 to 40 lower-case letters, digits, inner hyphens",
    "^[A-Za-z_][A-Za-z0-9_]{0,127}$": "the name of a variable: letters, digits, underscores",
    r"^/[\x21-\x7e]*$": "a path that begins with / and holds no spaces",
    "^[A-Za-z0-9-]{1,64}$": "the name of a header: letters, digits, hyphens",
    r"^[\x20-\x7e]*$": "printable ASCII characters",
    r"^[^\x00]*$": "no NUL character",
    "^[a-z0-9][a-z0-9-]{0,62}$": "lower-case letters, digits, hyphens",
    r"^https?://[\x21-\x7e]+$": "an address that begins with http:// or https://",
    "^[A-Za-z0-9_.-]{1,64}$": "the name of a cookie: letters, digits, underscores, dots, hyphens",
    r"^([01]\d|2[0-3]):[0-5]\d$": 'a time of day such as "08:00"',
    r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$": 'a time of day such as "17:30", at most "24:00"',
    r"^(staging|validation|promotion|verification|cleanup|switch|weight:\d{1,3})$": (
        'a phase ("staging", "validation", "promotion", "verification", "cleanup"), "switch",'
        ' or a weight such as "weight:25"'
    ),
}


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in the file."""

    line: int
    column: int
    message: str

    @classmethod
    def at(cls, position: Position, message: str) -> Mistake:
        """Return a mistake with *message* at *position*."""
        return cls(position.line, position.column, message)


def refuse(file: str, mistakes: Iterable[Mistake], what: str = "turnout.toml") -> InvalidInput:
    """Return the error that tells of all *mistakes* in *file*, in the order of the file.

    Args:
        file: Its path.
        mistakes: At least one.
        what: What it is called.
    """
    ordered = sorted(set(mistakes))
    shown = [f"{file}:{m.line}:{m.column}: {m.message}" for m in ordered[:MOST_SHOWN]]
    if len(ordered) > MOST_SHOWN:
        shown.append(f"and {len(ordered) - MOST_SHOWN} more")
    return InvalidInput(
        f"{what} has a mistake" if len(ordered) == 1 else f"{what} has mistakes",
        subject=file,
        why="\n".join(shown),
        next_step="Correct it; docs/turnout-toml.md lists every key.",
        facts={
            "mistakes": [
                {"line": m.line, "column": m.column, "message": m.message}
                for m in ordered[:MOST_SHOWN]
            ]
        },
    )


def explain(
    errors: Iterable[ErrorDetails],
    document: dict[str, Any],
    positions: Positions,
    root: type[BaseModel] = ProjectFile,
) -> list[Mistake]:
    """Return what *errors* of pydantic mean in *document*.

    Args:
        errors: What the model said.
        document: What it was given.
        positions: Where its keys and values stand.
        root: The model.
    """
    mistakes: dict[Path, Mistake] = {}
    for error in errors:
        path, on_key = _path_of(error["loc"], document)
        if error["type"] == "extra_forbidden":
            mistakes[path] = Mistake.at(positions.of_key(path), _unknown(path, root))
            continue
        if error["type"] == "missing":
            missing = (*path, str(error["loc"][-1]))
            place = positions.of_value(path)
            mistakes[missing] = Mistake.at(place, f"{_dotted(missing)} is missing")
            continue
        place = positions.of_key(path) if on_key else positions.of_value(path)
        name = _dotted(path)
        message = f"{name} {_wording(error)}"
        if isinstance(error["input"], str | int | float | bool) and not on_key:
            message += f", not {_shown(error['input'])}"
        if any(known[: len(path)] == path for known in mistakes):
            continue  # another branch of a union, or a later remark on the same value
        mistakes[path] = Mistake.at(place, message)
    return list(mistakes.values())


def _path_of(location: tuple[str | int, ...], document: Any) -> tuple[Path, bool]:
    """Return the part of pydantic's *location* that is in the file, and whether a key is meant.

    Between the keys stand names of union branches, and ``[key]`` at the end.
    """
    path: list[str | int] = []
    node = document
    for part in location:
        if not _holds(node, part):
            continue
        node = node[part]
        path.append(part)
    return tuple(path), bool(location) and location[-1] == "[key]"


def _holds(node: Any, part: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def _wording(error: ErrorDetails) -> str:
    kind, facts = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(facts.get("error", error["msg"]))
    if kind == "string_pattern_mismatch":
        allowed = _ALLOWED.get(str(facts.get("pattern")))
        return f"must be {allowed}" if allowed else f"must match {facts.get('pattern')}"
    if kind == "literal_error":
        return f"must be {facts.get('expected')}".replace("'", '"')
    for word, fact in (("at least", "ge"), ("at most", "le"), ("more than", "gt")):
        if fact in facts:
            return f"must be {word} {_as_written(facts[fact], error['input'])}"
    if kind in _KINDS:
        return _KINDS[kind]
    text = re.sub(r"^\w+ should", "must", error["msg"])
    return re.sub(r" after validation, not \d+$", "", text)


def _as_written(limit: float, given: object) -> str:
    """Return *limit* in the way in which *given* is written: a duration, a size, a share."""
    if not isinstance(given, str):
        return f"{limit}"
    if given.endswith("%"):
        return f"{limit * 100:g}%"
    if given.endswith("B"):
        mebibytes, rest = divmod(int(limit), 1 << 20)
        return f"{mebibytes}MiB" if not rest else f"{limit}B"
    days, seconds = divmod(limit, 86400)
    return f"{days:g}d" if days > 1 and not seconds else f"{limit:g}s"


def _unknown(path: Path, root: type[BaseModel]) -> str:
    key = str(path[-1])
    name = f"unknown key {_shown(key)}"
    if len(path) > 1:
        name += f" in [{_dotted(path[:-1])}]"
    siblings = _keys_at(path[:-1], root)
    for table in siblings.values():
        for model in _models_in(table):
            if key in _fields(model):
                home = next(known for known, value in siblings.items() if value is table)
                return f"{name}; it belongs in [{_dotted((*path[:-1], home))}]"
    if len(path) > 1 and key in root.model_fields:
        return f"{name}; it belongs at the top of the file, before the first table"
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6)
    if near:
        return f"{name}; did you mean {_shown(near[0])}?"
    nearest = difflib.get_close_matches(key, siblings, n=1, cutoff=0.0)
    hint = f"; the nearest known key is {_shown(nearest[0])}" if nearest else ""
    return name + hint + f" (known: {', '.join(sorted(siblings))})"


def _keys_at(path: Path, root: type[BaseModel]) -> dict[str, Any]:
    """Return the known keys of the table at *path* with their types."""
    models: list[type[BaseModel]] = [root]
    annotation: Any = root
    for part in path:
        fields = [_fields(model)[str(part)] for model in models if part in _fields(model)]
        annotation = fields[0].annotation if fields else _element(annotation)
        models = _models_in(annotation)
    return {name: field.annotation for model in models for name, field in _fields(model).items()}


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a table by the keys that the file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _element(annotation: Any) -> Any:
    """Return what a list or a dictionary of the file holds."""
    for part in _branches(annotation):
        if get_origin(part) in (list, dict):
            return get_args(part)[-1]
    return annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    return [
        part
        for part in _branches(annotation)
        if isinstance(part, type) and issubclass(part, BaseModel)
    ]


def _branches(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _branches(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for branch in get_args(annotation) for part in _branches(branch)]
    return [annotation]


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _BARE.fullmatch(part) else _shown(part)
        text += f".{name}" if text else name
    return text or "the file"


def _shown(value: object) -> str:
    """Return *value* as TOML writes it, shortened, with control characters escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    text = ascii(value) if not str(value).isprintable() else repr(value)
    if isinstance(value, str):
        text = '"' + text[1:-1] + '"'
    return text if len(text) <= 60 else text[:57] + '..."'
