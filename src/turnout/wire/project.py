"""How a project wants to be run: the normalised form of ``turnout.toml``.

The client reads the file, the server and the agent see only these models.  Durations are
seconds, sizes are bytes.  Defaults stand here and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from turnout.wire.model import Message, Name, ReleaseId

Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
VariableValue = Annotated[str, StringConstraints(max_length=32768, pattern=r"^[^\x00]*$")]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[\x21-\x7e]*$", max_length=1024)]
PathPattern = Annotated[str, StringConstraints(pattern=r"^/[\x21-\x7e]*$", max_length=256)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$", max_length=4096)]
Domain = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        max_length=253,
    ),
]


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
        """Return the revision of *release* under this configuration, 16 hexadecimal digits."""
        return hashlib.sha256(release.encode() + b"\0" + self.canonical()).hexdigest()[:16]


class Rollout(Message):
    """How traffic is moved in one environment."""

    strategy: Literal["blue-green", "rolling", "canary"] = "blue-green"
    keep_warm: Annotated[float, Field(ge=0, le=7 * 86400)] = 900.0
    """Seconds that the release before stays up after a success."""
    verify: Annotated[float, Field(ge=0, le=3600)] = 3.0
    """Seconds of live traffic that are watched before the deployment is confirmed."""
    verify_min_requests: Annotated[int, Field(ge=1)] = 20
    verify_max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of 5xx answers, of at least verify_min_requests, above which it goes back."""
    drain: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds that streams and slow requests get to end before the old release stops."""
    keep_releases: Annotated[int, Field(ge=1, le=100)] = 5


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
