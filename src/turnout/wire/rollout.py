"""How traffic is moved in one environment: strategies, their schedules, analysis, gates.

The normalised form of ``[rollout]``, ``[environments.X.canary]`` and the like.  Durations are
seconds, shares are 0 to 1, weights are percent.  Defaults stand here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from turnout.wire.model import Message
from turnout.wire.words import Argument, HeaderName, HeaderValue

Strategy = Literal["auto", "blue-green", "rolling", "canary", "recreate"]
Reaction = Literal["hold", "abort", "continue"]
"""What follows a verdict that decides nothing: a human decides, it goes back, it goes on."""

Seconds = Annotated[float, Field(ge=0, le=30 * 86400)]
Weight = Annotated[int, Field(ge=1, le=100)]
Count = (
    Annotated[int, Field(ge=0, le=64)] | Annotated[str, StringConstraints(pattern=r"^\d{1,3}%$")]
)
"""Instances (or hosts of a static site): a number, or percent of all as ``"25%"``."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path; a directory of zones
        raise ValueError(
            "must be a time zone of the IANA database, such as 'Europe/Berlin' or 'UTC'"
        ) from None
    return name


Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
CookieName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[\x21-\x7e]+$", max_length=2048)]
Text = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]
Command = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=256)]


class Tester(Message):
    """Requests that reach the candidate at any weight: a header or a cookie marks them."""

    header: HeaderName | None = None
    cookie: CookieName | None = None
    value: HeaderValue | None = None
    """The exact value; None: any value of the header."""

    @model_validator(mode="after")
    def _one_mark(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("a tester is known by either a header or a cookie")
        if self.cookie is not None and self.value is None:
            raise ValueError("a tester's cookie needs a value")
        return self


class CanaryStep(Message):
    """One weight of a canary, and what must be so before the next."""

    weight: Weight
    hold: Seconds = 0.0
    """At least so long; nothing is held and nothing asked if it is 0."""
    max_hold: Seconds | None = None
    """At most so long when the verdict decides nothing; None: ten times ``hold``."""
    min_requests: Annotated[int, Field(ge=1)] | None = None
    on_unknown: Reaction | None = None
    approval: bool = False
    """Somebody has to approve before this weight is given."""


class AutoSchedule(Message):
    """Bounds of a schedule that follows the evidence."""

    first: Weight = 1
    interval: Annotated[float, Field(ge=1, le=3600)] = 5.0
    """Least seconds between two weights."""
    deadline: Annotated[float, Field(ge=10, le=7 * 86400)] = 3600.0
    """When the last weight is not reached by then, ``on_unknown`` says what follows."""


class CanarySpec(Message):
    """The schedule of a canary."""

    steps: (
        Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=100)] | Literal["auto"]
    ) = (
        CanaryStep(weight=5, hold=60),
        CanaryStep(weight=25, hold=60),
        CanaryStep(weight=50, hold=60),
    )
    auto: AutoSchedule = AutoSchedule()
    sticky: bool = True
    """Clients keep their release by a cookie of the router's own."""
    baseline: bool = False
    """Compare with fresh instances of the old release, as many and as old as the candidate's."""
    scale: bool = False
    """Candidate instances are started as the weight needs them, not all at once."""
    testers: Annotated[tuple[Tester, ...], Field(max_length=16)] = ()
    mirror: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent of safe live requests that the candidate gets a copy of before it gets traffic."""
    mirror_hold: Seconds = 0.0
    """Seconds of mirrored traffic that are judged before the first weight."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.steps != "auto":
            weights = [step.weight for step in self.steps]
            if weights != sorted(set(weights)):
                raise ValueError("the weights of a canary rise from step to step")
        return self


class RollingSpec(Message):
    """Batches of a rolling deployment; a unit is an instance, or a host of a static site."""

    batch: Count = 1
    max_surge: Count = 1
    """Units more than asked for while it rolls."""
    max_unavailable: Count = 0
    """Units less than asked for while it rolls."""
    pause: Seconds = 0.0
    """Seconds between two batches."""
    verify: Seconds = 0.0
    """Seconds of live traffic that are judged after each batch."""
    order: Literal["host", "spread"] = "host"
    """One host after another, or each batch over as many hosts as it can."""


class BlueGreenSpec(Message):
    """What blue-green does around its one switch."""

    mirror: Annotated[int, Field(ge=0, le=100)] = 0
    analyse_before: Seconds = 0.0
    """Seconds of mirrored traffic that are judged before the switch."""
    analyse_after: Seconds = 0.0
    """Seconds of live traffic that are judged against the release before, after the switch."""


class Allowance(Message):
    """How much worse than the control a measure may be, or what it may be at most."""

    max_increase: Annotated[float, Field(ge=0, le=100)] | None = None
    """For an error rate in absolute shares (0.005 is half a percentage point), for a latency
    relative (0.2 is a fifth more)."""
    max: Annotated[float, Field(gt=0)] | None = None
    """An absolute limit: a share for an error rate, milliseconds for a latency."""
    dry_run: bool = False


class MetricSpec(Message):
    """One more measure, from elsewhere than the router."""

    name: Label
    source: Literal["prometheus", "http", "command", "logs"]
    url: Url | None = None
    """The Prometheus server, or the document."""
    query: Text | None = None
    """PromQL; a JSON pointer into an HTTP document; the pattern of error lines in logs.
    ``{release}``, ``{revision}``, ``{project}`` and ``{environment}`` are filled in."""
    command: Command | None = None
    """Run on a host in the candidate's tree; its last line is the value."""
    max: float | None = None
    min: float | None = None
    interval: Annotated[float, Field(ge=1, le=3600)] = 10.0
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = 2
    """Values outside the limits before the verdict is bad."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    dry_run: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            "prometheus": ("url", "query"),
            "http": ("url",),
            "command": ("command",),
            "logs": ("query",),
        }[self.source]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"a metric from {self.source} needs {name!r}")
        if self.max is None and self.min is None:
            raise ValueError("a metric needs 'max' or 'min'")
        return self


class AnalysisSpec(Message):
    """How live traffic is judged."""

    error_rate: Allowance | None = Allowance(max_increase=0.0)
    latency_p50: Allowance | None = None
    latency_p90: Allowance | None = None
    latency_p95: Allowance | None = None
    latency_p99: Allowance | None = Allowance(max_increase=0.2)
    metrics: Annotated[tuple[MetricSpec, ...], Field(max_length=32)] = ()
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    """How often a release that is no worse may be called bad, over all measures and looks."""
    min_requests: Annotated[int, Field(ge=1)] = 100
    on_unknown: Reaction = "hold"
    on_unavailable: Reaction = "hold"


class GateSpec(Message):
    """Something that has to say yes before a deployment goes on."""

    name: Label
    kind: Literal["approval", "command", "webhook", "window"]
    before: Annotated[
        str,
        StringConstraints(
            pattern=r"^(staging|validation|promotion|verification|cleanup|switch|weight:\d{1,3})$"
        ),
    ] = "promotion"
    """A phase, the ``switch`` to all traffic, or a weight as ``weight:25``."""
    hook: Literal["confirm-rollout", "confirm-promotion", "load-test", "rollback", "event"] = (
        "confirm-rollout"
    )
    """What a webhook is: asked until it says yes, fired at each hold, asked during holds whether
    to go back, or only told."""
    url: Url | None = None
    command: Command | None = None
    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field()
    ] = (
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
    )
    opens: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "00:00"
    closes: Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")] = (
        "24:00"
    )
    timezone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)] = "UTC"
    timeout: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    """Seconds until a gate that has not opened ends the deployment."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "webhook" and self.url is None:
            raise ValueError("a webhook needs a url")
        if self.kind == "command" and self.command is None:
            raise ValueError("a command gate needs a command")
        return self


class CommandSpec(Message):
    """A command of the project, run once a deployment on the first host in the release's tree."""

    name: Label
    command: Command
    when: Literal["before-switch", "after-switch"] = "before-switch"
    irreversible: bool = False
    """Nothing goes back behind it by itself: the point of no return."""
    timeout: Annotated[float, Field(gt=0, le=86400)] = 600.0


class Rollout(Message):
    """How traffic is moved in one environment."""

    strategy: Strategy = "blue-green"
    canary: CanarySpec = CanarySpec()
    rolling: RollingSpec = RollingSpec()
    blue_green: BlueGreenSpec = BlueGreenSpec()
    analysis: AnalysisSpec = AnalysisSpec()
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=64)] = ()
    commands: Annotated[tuple[CommandSpec, ...], Field(max_length=64)] = ()
    switch_at: datetime | None = None
    """Nothing moves traffic before this moment."""
    keep_warm: Annotated[float, Field(ge=0, le=7 * 86400)] = 900.0
    """Seconds that the release before stays up after a success."""
    watch: Annotated[float, Field(ge=0, le=7 * 86400)] = 900.0
    """Seconds after a success in which a bad verdict goes back by itself."""
    verify: Annotated[float, Field(ge=0, le=3600)] = 3.0
    """Seconds of live traffic that are watched before the deployment is confirmed."""
    verify_min_requests: Annotated[int, Field(ge=1)] = 20
    verify_max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of 5xx answers, of at least verify_min_requests, above which it goes back."""
    drill_within: Seconds | None = None
    """A promotion needs a rehearsal of the rollback to the release that is live before it, not
    older than so many seconds; the deployment rehearses it itself if there is none."""
    drain: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds that streams and slow requests get to end before the old release stops."""
    keep_releases: Annotated[int, Field(ge=1, le=100)] = 5

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for kind in ("gates", "commands"):
            names = [item.name for item in getattr(self, kind)]
            if len(set(names)) != len(names):
                raise ValueError(f"two {kind} have the same name")
        return self
