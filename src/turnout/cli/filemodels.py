"""What ``turnout.toml`` may hold, as pydantic models that check the shape of the file."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from turnout.cli.filetypes import Duration, LimitsOf, Size, Table
from turnout.cli.rollout_tables import RolloutTable
from turnout.wire.model import Name
from turnout.wire.project import (
    Argument,
    CheckSpec,
    Domain,
    HeaderName,
    HeaderValue,
    HealthSpec,
    PathPattern,
    RunSpec,
    StaticSpec,
    UrlPath,
    VariableName,
    VariableValue,
)


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
    max_connections: Annotated[int, LimitsOf(RunSpec, "max_connections")] | None = None
    max_requests: Annotated[int, LimitsOf(RunSpec, "max_requests")] | None = None
    exclusive: Annotated[
        bool | None,
        Field(description="It cannot run twice at once: deployed by recreate, with a downtime."),
    ] = None
    stateful: Annotated[
        bool | None, Field(description="It keeps state of its users, such as sessions in memory.")
    ] = None


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


class Environment(RolloutTable):
    """What differs in one environment."""

    hosts: Annotated[list[Name] | None, Field(max_length=1024, description="Machines.")] = None
    domains: Annotated[
        list[Domain] | None, Field(max_length=64, description="Host names of the sites.")
    ] = None
    run: Run | None = None
    static: Static | None = None
    health: Health | None = None


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
