"""A file with an analysis to replay evidence by: TOML as in ``turnout.toml``, or the API's JSON.

The table may stand alone, under ``[analysis]``, or in a whole ``turnout.toml``.  JSON is what
the API has: shares and milliseconds as numbers, as ``policy`` in ``show --evidence --json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from turnout.cli import jsonplaces, projectfile, tomlfile
from turnout.cli.filetypes import Table
from turnout.cli.locator import Positions
from turnout.cli.mistakes import Mistake, explain, refuse
from turnout.cli.rollout_tables import Analysis, analysis_of
from turnout.cli.whole import named_twice
from turnout.wire.model import Message
from turnout.wire.rollout import AnalysisSpec

WHAT = "The policy file"


class _TomlFile(Table):
    analysis: Analysis


class _JsonFile(Message):
    analysis: AnalysisSpec


def read(path: Path, environment: Callable[[], str]) -> AnalysisSpec:
    """Return the analysis that a file describes.

    Args:
        path: The file.
        environment: Tells whose analysis is meant, should it be a ``turnout.toml``.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It has mistakes; the error names line and column of each.
    """
    missing = "Write an analysis as in turnout.toml; docs/cli.md shows one."
    shown = str(path)
    content = tomlfile.read(path, WHAT, missing)
    text = tomlfile.decode(content, shown, WHAT)
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return _of_json(text, shown)
    document, positions = tomlfile.parse(text, shown, WHAT)
    if "project" in document:
        project = projectfile.parse(content, path)
        return projectfile.intent(project, environment()).rollout.analysis
    inner = "analysis" in document
    file = _checked(_TomlFile if inner else Analysis, document, positions, shown)
    table = file.analysis if isinstance(file, _TomlFile) else file
    assert isinstance(table, Analysis)
    here = ("analysis", "metrics") if inner else ("metrics",)
    if twice := list(named_twice(table.metrics, here, "metrics", positions)):
        raise refuse(shown, twice, WHAT)
    return _spec(analysis_of(table.given()), shown)


def _of_json(text: str, shown: str) -> AnalysisSpec:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        mistake = Mistake(error.lineno, error.colno, f"this is not JSON: {error.msg}")
        raise refuse(shown, [mistake], WHAT) from None
    except ValueError:
        raise refuse(shown, [Mistake(1, 1, "a number has too many digits")], WHAT) from None
    except RecursionError:
        raise refuse(shown, [Mistake(1, 1, "values are nested too deeply")], WHAT) from None
    if not isinstance(document, dict):
        raise refuse(shown, [Mistake(1, 1, "this is not a JSON object")], WHAT)
    positions = jsonplaces.locate(text)
    inner = "analysis" in document
    file = _checked(_JsonFile if inner else AnalysisSpec, document, positions, shown)
    spec = file.analysis if isinstance(file, _JsonFile) else file
    assert isinstance(spec, AnalysisSpec)
    return spec


def _checked(
    model: type[BaseModel], document: dict[str, Any], positions: Positions, shown: str
) -> BaseModel:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise refuse(shown, explain(error.errors(), document, positions, model), WHAT) from None


def _spec(values: dict[str, Any], shown: str) -> AnalysisSpec:
    try:
        return AnalysisSpec.model_validate(values)
    except ValidationError as error:
        mistakes = [Mistake(1, 1, str(found["msg"])) for found in error.errors()]
        raise refuse(shown, mistakes, WHAT) from None
