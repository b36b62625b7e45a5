"""How a project wants to be run: the normalised form of ``turnout.toml``.

The client reads the file, the server and the agent see only these models.  Durations are
seconds, sizes are bytes.  Defaults stand here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from turnout.wire.model import Message, Name, ReleaseId
from turnout.wire.rollout import Rollout as Rollout
from turnout.wire.words import Argument as Argument
from turnout.wire.words import Domain as Domain
from turnout.wire.words import HeaderName as HeaderName
from turnout.wire.words import HeaderValue as HeaderValue
from turnout.wire.words import PathPattern as PathPattern
from turnout.wire.words import UrlPath as UrlPath
from turnout.wire.words import VariableName as VariableName
from turnout.wire.words import VariableValue as VariableValue


class RunSpec(Message):
    """A server app: started by argument vector, never through a shell."""

    command: Annotated[tuple[Argument, ...], Field(min_length=1, max_length=256)]
    port_env: VariableName = "PORT"
    socket_env: VariableName | None = None
    """Set: the instance gets a unix socket's path in this variable instead of a port."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    variables: dict[VariableName, VariableValue] = Field(default_factory=dict, max_length=512)
    memory_bytes: Annotated[int, Field(ge=16 << 20)] | None = None
    open_files: Annotated[int, Field(ge=64, le=1 << 20)] = 65536
    stop_grace: Annotated[float, Field(ge=0, le=600)] = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    max_connections: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    """Connections that a host's router opens to all instances at once; None: no limit."""
    max_requests: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    """Requests under way at once on a host; more get 503 instead of waiting."""
    exclusive: bool = False
    """It cannot run twice at once: only ``recreate`` deploys it, with a downtime."""
    stateful: bool = False
    """It keeps state of its users in itself, such as sessions in memory."""


class StaticSpec(Message):
    """A static site, served by the host's static origin."""

    spa: bool = False
    headers: dict[PathPattern, dict[HeaderName, HeaderValue]] = Field(
        default_factory=dict, max_length=256
    )
    bridge_releases: Annotated[int, Field(ge=0, le=20)] = 3
    """Hashed assets of this many earlier releases stay reachable."""


class HealthSpec(Message):
    """When an instance is good enough for traffic."""

    path: UrlPath = "/"
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    interval: Annotated[float, Field(ge=0.05, le=300)] = 1.0
    timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    healthy_after: Annotated[int, Field(ge=1, le=100)] = 2
    deadline: Annotated[float, Field(ge=0.1, le=3600)] = 60.0


class CheckSpec(Message):
    """One check of the project, run in the validation phase against the new release."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    path: UrlPath
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    contains: Annotated[str, StringConstraints(max_length=1024)] | None = None


class Component(Message):
    """What runs: a server app or a static site, and how its health is known."""

    run: RunSpec | None = None
    static: StaticSpec | None = None
    health: HealthSpec = HealthSpec()

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.run is None) == (self.static is None):
            raise ValueError("a project is either a server app ([run]) or a static site")
        return self

    def revision(self, release: ReleaseId) -> str:
        """Return the revision of *release* under this configuration, 16 hexadecimal digits.

        What stands at its default does not count, so that a new field of a later version
        leaves the revisions of what runs as they are.
        """
        value = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{release}\0{text}".encode()).hexdigest()[:16]


class Intent(Message):
    """What a project asks of one environment: what runs, how it is checked and moved."""

    project: Name
    environment: Name
    component: Component
    checks: Annotated[tuple[CheckSpec, ...], Field(max_length=64)] = ()
    rollout: Rollout = Rollout()
    domains: Annotated[tuple[Domain, ...], Field(max_length=64)] = ()
    hosts: Annotated[tuple[Name, ...], Field(max_length=1024)] = ()
    """Names of machines; empty means every host of the environment."""

    @field_validator("domains")
    @classmethod
    def _no_duplicates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a domain is given twice")
        return value


def matches(pattern: str, path: str) -> bool:
    """Return whether *path* fits *pattern*, in which ``*`` stands for any characters."""
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts), path, flags=re.DOTALL) is not None
