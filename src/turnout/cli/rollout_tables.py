"""The tables of ``turnout.toml`` that say how traffic is moved: strategies, analysis, gates."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field

from turnout.cli.filetypes import Count, Duration, LimitsOf, Moment, Percent, Table, Whole
from turnout.wire.project import Argument, HeaderName, HeaderValue, Rollout
from turnout.wire.rollout import Allowance as AllowanceSpec
from turnout.wire.rollout import (
    AnalysisSpec,
    AutoSchedule,
    BlueGreenSpec,
    CanarySpec,
    CommandSpec,
    CookieName,
    GateSpec,
    Label,
    MetricSpec,
    Reaction,
    RollingSpec,
    Strategy,
    Tester,
    Text,
    Url,
    Weight,
)
from turnout.wire.rollout import CanaryStep as CanaryStepSpec

Number = Annotated[float, Field(allow_inf_nan=False)]
Command = Annotated[list[Argument], Field(min_length=1, max_length=256)]
Off = Literal[False]
"""What is judged by default is not judged: TOML has no null."""


def _schedule(value: object) -> object:
    if not isinstance(value, list) and value not in ("auto", None):
        raise ValueError('must be a list of steps, or "auto"')
    return value


class CanaryStep(Table):
    """One weight of a canary, and how long it is held at least."""

    weight: Weight
    hold: Annotated[Duration, LimitsOf(CanaryStepSpec, "hold")] | None = None
    max_hold: Annotated[Duration, LimitsOf(CanaryStepSpec, "max_hold")] | None = None
    min_requests: Annotated[int, LimitsOf(CanaryStepSpec, "min_requests")] | None = None
    on_unknown: Reaction | None = None
    approval: Annotated[
        bool | None, Field(description="Somebody has to approve before this weight is given.")
    ] = None


class TesterRule(Whole):
    """Requests that reach the new release at any weight: a header or a cookie marks them."""

    wire: ClassVar[type[BaseModel]] = Tester

    header: HeaderName | None = None
    cookie: CookieName | None = None
    value: HeaderValue | None = None


class Auto(Table):
    """Bounds of a schedule that follows the evidence (``steps = "auto"``)."""

    first: Annotated[int, LimitsOf(AutoSchedule, "first")] | None = None
    interval: Annotated[Duration, LimitsOf(AutoSchedule, "interval")] | None = None
    deadline: Annotated[Duration, LimitsOf(AutoSchedule, "deadline")] | None = None


class Canary(Table):
    """The schedule of a canary.

    ``hold``, ``max_hold``, ``min_requests`` and ``on_unknown`` hold for every step that does not
    say its own.
    """

    steps: Annotated[
        Annotated[list[CanaryStep], Field(min_length=1, max_length=100)] | Literal["auto"] | None,
        BeforeValidator(_schedule),
    ] = None
    hold: Annotated[Duration, LimitsOf(CanaryStepSpec, "hold")] | None = None
    max_hold: Annotated[Duration, LimitsOf(CanaryStepSpec, "max_hold")] | None = None
    min_requests: Annotated[int, LimitsOf(CanaryStepSpec, "min_requests")] | None = None
    on_unknown: Reaction | None = None
    auto: Auto | None = None
    sticky: Annotated[
        bool | None, Field(description="Clients keep their release by a cookie of the router's.")
    ] = None
    baseline: Annotated[
        bool | None,
        Field(description="Compare with fresh instances of the old release, as many and as old."),
    ] = None
    scale: Annotated[bool | None, Field(description="Instances follow the weight.")] = None
    testers: Annotated[list[TesterRule], LimitsOf(CanarySpec, "testers")] | None = None
    mirror: Annotated[Percent, Field(ge=0, le=1)] | None = None
    mirror_hold: Annotated[Duration, LimitsOf(CanarySpec, "mirror_hold")] | None = None


class Rolling(Table):
    """Batches of a rolling deployment; a unit is an instance, or a host of a static site."""

    batch: Count | None = None
    max_surge: Count | None = None
    max_unavailable: Count | None = None
    pause: Annotated[Duration, LimitsOf(RollingSpec, "pause")] | None = None
    verify: Annotated[Duration, LimitsOf(RollingSpec, "verify")] | None = None
    order: Literal["host", "spread"] | None = None


class BlueGreen(Table):
    """What blue-green does around its one switch."""

    mirror: Annotated[Percent, Field(ge=0, le=1)] | None = None
    analyse_before: Annotated[Duration, LimitsOf(BlueGreenSpec, "analyse_before")] | None = None
    analyse_after: Annotated[Duration, LimitsOf(BlueGreenSpec, "analyse_after")] | None = None


class ErrorAllowance(Table):
    """How many more answers may be errors: in percentage points, or at most."""

    max_increase: Annotated[Percent, LimitsOf(AllowanceSpec, "max_increase")] | None = None
    max: Annotated[Percent, LimitsOf(AllowanceSpec, "max"), Field(le=1)] | None = None
    dry_run: bool | None = None


class LatencyAllowance(Table):
    """How much slower answers may be: relative to before, or at most."""

    max_increase: Annotated[Percent, LimitsOf(AllowanceSpec, "max_increase")] | None = None
    max: Annotated[Duration, LimitsOf(AllowanceSpec, "max")] | None = None
    dry_run: bool | None = None


class Metric(Whole):
    """One more measure, from elsewhere than the router."""

    wire: ClassVar[type[BaseModel]] = MetricSpec

    name: Label
    source: Literal["prometheus", "http", "command", "logs"]
    url: Url | None = None
    query: Text | None = None
    command: Command | None = None
    max: Number | None = None
    min: Number | None = None
    interval: Annotated[Duration, LimitsOf(MetricSpec, "interval")] | None = None
    failure_limit: Annotated[int, LimitsOf(MetricSpec, "failure_limit")] | None = None
    timeout: Annotated[Duration, LimitsOf(MetricSpec, "timeout")] | None = None
    dry_run: bool | None = None


class Analysis(Table):
    """How live traffic is judged; ``false`` leaves a measure out."""

    error_rate: ErrorAllowance | Off | None = None
    latency_p50: LatencyAllowance | Off | None = None
    latency_p90: LatencyAllowance | Off | None = None
    latency_p95: LatencyAllowance | Off | None = None
    latency_p99: LatencyAllowance | Off | None = None
    metrics: Annotated[list[Metric], LimitsOf(AnalysisSpec, "metrics")] | None = None
    alpha: Annotated[Percent, LimitsOf(AnalysisSpec, "alpha")] | None = None
    min_requests: Annotated[int, LimitsOf(AnalysisSpec, "min_requests")] | None = None
    on_unknown: Reaction | None = None
    on_unavailable: Reaction | None = None


class Gate(Whole):
    """Something that has to say yes before a deployment goes on."""

    wire: ClassVar[type[BaseModel]] = GateSpec

    name: Label
    kind: Literal["approval", "command", "webhook", "window"]
    before: Annotated[str, LimitsOf(GateSpec, "before")] | None = None
    hook: (
        Literal["confirm-rollout", "confirm-promotion", "load-test", "rollback", "event"] | None
    ) = None
    url: Url | None = None
    command: Command | None = None
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = None
    opens: Annotated[str, LimitsOf(GateSpec, "opens")] | None = None
    closes: Annotated[str, LimitsOf(GateSpec, "closes")] | None = None
    timezone: Annotated[str, LimitsOf(GateSpec, "timezone")] | None = None
    timeout: Annotated[Duration, LimitsOf(GateSpec, "timeout")] | None = None


class CommandTable(Table):
    """A command of the project, run once a deployment on the first host."""

    name: Label
    command: Command
    when: Literal["before-switch", "after-switch"] | None = None
    irreversible: Annotated[
        bool | None, Field(description="Nothing goes back behind it by itself.")
    ] = None
    timeout: Annotated[Duration, LimitsOf(CommandSpec, "timeout")] | None = None


class RolloutTable(Table):
    """How traffic is moved."""

    strategy: Strategy | None = None
    canary: Canary | None = None
    rolling: Rolling | None = None
    blue_green: Annotated[BlueGreen | None, Field(alias="blue-green")] = None
    analysis: Analysis | None = None
    gates: Annotated[list[Gate], LimitsOf(Rollout, "gates")] | None = None
    commands: Annotated[list[CommandTable], LimitsOf(Rollout, "commands")] | None = None
    switch_at: Annotated[
        Moment | None, Field(description="Nothing moves traffic before this moment.")
    ] = None
    keep_warm: Annotated[Duration, LimitsOf(Rollout, "keep_warm")] | None = None
    watch: Annotated[Duration, LimitsOf(Rollout, "watch")] | None = None
    verify: Annotated[Duration, LimitsOf(Rollout, "verify")] | None = None
    verify_min_requests: Annotated[int, LimitsOf(Rollout, "verify_min_requests")] | None = None
    verify_max_error_rate: Annotated[Percent, LimitsOf(Rollout, "verify_max_error_rate")] | None = (
        None
    )
    drill_within: Annotated[Duration, LimitsOf(Rollout, "drill_within")] | None = None
    drain: Annotated[Duration, LimitsOf(Rollout, "drain")] | None = None
    keep_releases: Annotated[int, LimitsOf(Rollout, "keep_releases")] | None = None


_OF_STEPS = ("hold", "max_hold", "min_requests", "on_unknown")
ROLLOUT_KEYS = frozenset(RolloutTable.model_fields)
"""The keys of an environment that belong to its rollout."""


def rollout_of(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the rollout that two tables come to, as :class:`turnout.wire.rollout.Rollout` is given.

    Args:
        base: What ``[rollout]`` says.
        own: What the environment says; it goes before, key by key in the tables inside, while
            lists are taken whole.
    """
    merged = _over(base, own)
    if "canary" in merged:
        canary, defaults = _canary(merged["canary"])
        merged["canary"] = canary
        if defaults:
            merged["analysis"] = {**defaults, **merged.get("analysis", {})}
    if "blue_green" in merged:
        merged["blue_green"] = _with_percent(merged["blue_green"])
    if "analysis" in merged:
        merged["analysis"] = analysis_of(merged["analysis"])
    return merged


def analysis_of(table: dict[str, Any]) -> dict[str, Any]:
    """Return an analysis as :class:`turnout.wire.rollout.AnalysisSpec` is given."""
    found = {key: None if value is False else value for key, value in table.items()}
    for key, value in found.items():
        if key.startswith("latency_") and value is not None and "max" in value:
            # The file has durations, the wire milliseconds.
            found[key] = {**value, "max": round(value["max"] * 1000, 6)}
    return found


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[key] = _over(before, value)
        else:
            merged[key] = value
    return merged


def _canary(table: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a canary's table with its defaults put into its steps, and those of a ramp."""
    shared = {key: value for key, value in table.items() if key in _OF_STEPS}
    canary = _with_percent({key: value for key, value in table.items() if key not in shared})
    if canary.get("steps") == "auto":
        ramp = {key: value for key, value in shared.items() if "hold" not in key}
        return canary, ramp
    if shared:
        steps = canary.get("steps") or [
            step.model_dump(exclude_defaults=True)
            for step in CanarySpec().steps
            if not isinstance(step, str)
        ]
        canary["steps"] = [{**shared, **step} for step in steps]
    return canary, {}


def _with_percent(table: dict[str, Any]) -> dict[str, Any]:
    """Return *table* with the share that is mirrored in whole percent."""
    if "mirror" not in table:
        return table
    # The least that can be mirrored is 1 %; less than that was not meant to be nothing.
    return {**table, "mirror": math.ceil(round(table["mirror"] * 100, 6))}
