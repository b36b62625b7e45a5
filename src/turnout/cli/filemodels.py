"""What ``turnout.toml`` may hold, as pydantic models that check the shape of the file.

Limits and defaults belong to :mod:`turnout.wire.project`; here a field that is not given stays
unset, and its limits are taken from the wire model that it becomes a part of.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from annotated_types import GroupedMetadata
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from turnout.cli.values import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    SIZE_PATTERN,
    duration,
    percent,
    size,
)
from turnout.wire.model import Name
from turnout.wire.project import (
    Argument,
    CheckSpec,
    Domain,
    HeaderName,
    HeaderValue,
    HealthSpec,
    PathPattern,
    Rollout,
    RunSpec,
    StaticSpec,
    UrlPath,
    VariableName,
    VariableValue,
)


class LimitsOf(GroupedMetadata):
    """The limits of a field of a wire model, to be put on the same thing in the file."""

    def __init__(self, model: type[BaseModel], name: str) -> None:
        field = model.model_fields[name]
        # Those of an optional field stand on the part of the union that is not None.
        parts = get_args(field.annotation)
        nested = [piece for part in parts for piece in getattr(part, "__metadata__", ())]
        flat = [piece.metadata if isinstance(piece, FieldInfo) else [piece] for piece in nested]
        self._metadata = (*field.metadata, *(piece for pieces in flat for piece in pieces))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._metadata)


Duration = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "30s"]}),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["256MiB"]}),
]
Percent = Annotated[
    float,
    BeforeValidator(percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["0.5%"]}),
]
Strategy = Literal["blue-green", "rolling", "canary"]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Build(Table):
    """Run on the client before packaging."""

    command: Annotated[
        list[Argument] | None,
        Field(min_length=1, max_length=256, description="Program and arguments; no shell."),
    ] = None
    output: Annotated[
        str, Field(min_length=1, max_length=1024, description="The directory that is packaged.")
    ] = "."


class Run(Table):
    """A server app; absent: a static site."""

    command: Annotated[
        list[Argument] | None,
        Field(min_length=1, max_length=256, description="Program and arguments; no shell."),
    ] = None
    port_env: Annotated[
        VariableName | None, Field(description="The instance is told its port here.")
    ] = None
    socket_env: Annotated[
        VariableName | None,
        Field(description="The instance is told the path of its unix socket here, not a port."),
    ] = None
    instances: Annotated[int, LimitsOf(RunSpec, "instances")] | None = None
    memory: Annotated[Size, LimitsOf(RunSpec, "memory_bytes")] | None = None
    open_files: Annotated[int, LimitsOf(RunSpec, "open_files")] | None = None
    env: Annotated[
        dict[VariableName, VariableValue] | None, Field(description="Environment variables.")
    ] = None
    stop_grace: Annotated[Duration, LimitsOf(RunSpec, "stop_grace")] | None = None


class Static(Table):
    """A static site."""

    spa: Annotated[
        bool | None,
        Field(description="Unknown paths without a file ending get index.html."),
    ] = None
    headers: Annotated[
        dict[PathPattern, dict[HeaderName, HeaderValue]] | None,
        Field(description="Path pattern to headers."),
    ] = None
    bridge_releases: Annotated[int, LimitsOf(StaticSpec, "bridge_releases")] | None = None


class Health(Table):
    """When an instance is good enough for traffic."""

    path: UrlPath | None = None
    expect: Annotated[int, LimitsOf(HealthSpec, "expect")] | None = None
    interval: Annotated[Duration, LimitsOf(HealthSpec, "interval")] | None = None
    timeout: Annotated[Duration, LimitsOf(HealthSpec, "timeout")] | None = None
    healthy_after: Annotated[int, LimitsOf(HealthSpec, "healthy_after")] | None = None
    deadline: Annotated[Duration, LimitsOf(HealthSpec, "deadline")] | None = None


class Check(Table):
    """A request to the new release before it gets traffic."""

    name: Annotated[str, LimitsOf(CheckSpec, "name")]
    path: UrlPath
    expect: Annotated[int, LimitsOf(CheckSpec, "expect")] | None = None
    contains: Annotated[str, Field(max_length=1024)] | None = None


class RolloutTable(Table):
    """How traffic is moved."""

    strategy: Strategy | None = None
    keep_warm: Annotated[Duration, LimitsOf(Rollout, "keep_warm")] | None = None
    verify: Annotated[Duration, LimitsOf(Rollout, "verify")] | None = None
    verify_min_requests: Annotated[int, LimitsOf(Rollout, "verify_min_requests")] | None = None
    verify_max_error_rate: Annotated[Percent, LimitsOf(Rollout, "verify_max_error_rate")] | None = (
        None
    )
    drain: Annotated[Duration, LimitsOf(Rollout, "drain")] | None = None
    keep_releases: Annotated[int, LimitsOf(Rollout, "keep_releases")] | None = None


class CanaryStep(Table):
    """One weight of a canary, and how long it is held at least."""

    weight: Annotated[int, Field(ge=0, le=100)]
    hold: Duration | None = None
    max_hold: Duration | None = None
    on_unknown: Literal["hold", "abort", "continue"] | None = None


class Canary(Table):
    """The schedule of a canary; read by a later version of Turnout."""

    steps: Annotated[list[CanaryStep], Field(min_length=1, max_length=100)] | Literal["auto"]
    hold: Duration | None = None
    max_hold: Duration | None = None
    min_requests: Annotated[int, Field(ge=1)] | None = None
    on_unknown: Literal["hold", "abort", "continue"] | None = None


class Allowance(Table):
    """How much worse than before a measure may be, or what it may be at most."""

    max_increase: Percent | None = None
    max: Annotated[str, Field(max_length=32)] | None = None
    min_requests: Annotated[int, Field(ge=1)] | None = None


class Analysis(Table):
    """The measures of a canary; read by a later version of Turnout."""

    error_rate: Allowance | None = None
    latency_p50: Allowance | None = None
    latency_p90: Allowance | None = None
    latency_p95: Allowance | None = None
    latency_p99: Allowance | None = None


class Environment(RolloutTable):
    """What differs in one environment."""

    hosts: Annotated[list[Name] | None, Field(max_length=1024, description="Machines.")] = None
    domains: Annotated[
        list[Domain] | None, Field(max_length=64, description="Host names of the sites.")
    ] = None
    run: Run | None = None
    static: Static | None = None
    health: Health | None = None
    canary: Canary | None = None
    analysis: Analysis | None = None


class ProjectFile(Table):
    """The file ``turnout.toml``: how a project is built, run, checked and rolled out."""

    model_config = ConfigDict(title="turnout.toml")

    project: Annotated[Name, Field(description="1-40 lower-case letters, digits and hyphens.")]
    build: Build | None = None
    run: Run | None = None
    static: Static | None = None
    health: Health | None = None
    checks: Annotated[list[Check] | None, Field(max_length=64)] = None
    rollout: RolloutTable | None = None
    environments: dict[Name, Environment] | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, as it is shipped."""
    schema = ProjectFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_null(schema),
    }


def _print_schema() -> None:
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def _without_null(node: Any) -> Any:
    """TOML has no null: take that alternative, and null defaults, out of the schema."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    cleaned = {
        key: _without_null(value)
        for key, value in node.items()
        if not (key == "default" and value is None)
    }
    options = cleaned.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        left = [option for option in options if option != {"type": "null"}]
        del cleaned["anyOf"]
        cleaned = {**left[0], **cleaned} if len(left) == 1 else {**cleaned, "anyOf": left}
    return cleaned


if __name__ == "__main__":
    _print_schema()
