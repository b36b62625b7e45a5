"""What a release must be like: the measures, their limits, and how sure a verdict has to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from turnout.base.errors import InvalidInput

Kind = Literal["errors", "latency", "value"]

WITHIN_ERRORS = 0.005
"""Where nothing else is said, *good* means: at most half a percentage point more errors."""
WITHIN_LATENCY = 0.2
"""Likewise: a latency quantile at most a fifth higher."""
BETA = 0.05
"""How often *good* may be said of a release that is worse than the tolerance."""

_LEAST_SHARE = 1e-9
"""What is smaller is no share that anybody means, and its square is lost in a float."""
_QUANTILES = {f"latency_p{share}": share / 100 for share in (50, 75, 90, 95, 99)}


@dataclass(frozen=True)
class Measure:
    """One thing that is measured, and its limits.

    Attributes:
        name: How it is called in the evidence.
        kind: ``errors`` and ``latency`` come from the router, a ``value`` from elsewhere.
        quantile: Of a latency: 0.99 is p99.
        max_increase: How much worse than the control it may be: absolute for an error rate
            (0.005 is half a percentage point), relative for a latency (0.2 is a fifth).  None:
            it is not compared.
        max: An absolute limit: a share for an error rate, milliseconds for a latency.
        min: The least that a value may be.
        within: How much worse *good* leaves open; units as ``max_increase``.
        weight: Its part of the error that is split among the measures.
        failure_limit: Of a value: how many outside the limits are borne.
        missing_limit: Of a value: how many in a row may be missing before it is unavailable.
        dry_run: It is judged and shown, and decides nothing.
    """

    name: str
    kind: Kind
    quantile: float = 0.99
    max_increase: float | None = None
    max: float | None = None
    min: float | None = None
    within: float = 0.0
    weight: float = 1.0
    failure_limit: int = 2
    missing_limit: int = 2
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the measure as plain JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Policy:
    """How live traffic is judged.

    Attributes:
        measures: What is measured.
        alpha: How often a release that is no worse may be called *bad*, over all measures and
            all looks.
        beta: How often a release that is worse than ``within`` may be called *good*.
        min_requests: Requests that each arm must have had before anything is said of it.
        stale_after: Seconds without the hosts' counts until the verdict is *unavailable*.
        split_alpha: How often a split as asked may be called a mismatch.
        guard: Whether dispersion is allowed for; off, the plain count test remains.
    """

    measures: tuple[Measure, ...] = field(
        default_factory=lambda: (
            Measure("error_rate", "errors", max_increase=0.0, within=WITHIN_ERRORS),
            Measure("latency_p99", "latency", max_increase=0.2, within=WITHIN_LATENCY),
        )
    )
    alpha: float = 0.01
    beta: float = BETA
    min_requests: int = 100
    stale_after: float = 15.0
    split_alpha: float = 0.001
    guard: bool = True

    def __post_init__(self) -> None:
        _check(self)

    def share_of_alpha(self, measure: Measure) -> float:
        """Return the part of the error that *measure* may use; all of it in a dry run."""
        if measure.dry_run:
            return 1.0
        whole = sum(m.weight for m in self.measures if m.kind != "value" and not m.dry_run)
        return measure.weight / whole

    def to_json(self) -> dict[str, Any]:
        """Return the policy as plain JSON values, to be read by :func:`policy_from_json`."""
        return {**self.__dict__, "measures": [measure.to_json() for measure in self.measures]}


def policy_from_json(document: Mapping[str, Any]) -> Policy:
    """Return a policy from what :meth:`Policy.to_json` gave, or from an ``[analysis]`` table.

    A table names its measures: ``error_rate``, ``latency_p50`` ... with ``max_increase``, ``max``
    and ``dry_run``, and ``metrics`` from elsewhere; keys that do not concern the judge are left.

    Raises:
        InvalidInput: A limit cannot be, or two measures share a name.
    """
    try:
        own = document.get("measures")
        if own is not None:
            measures = [Measure(**dict(entry)) for entry in own]
        else:
            measures = _from_table(document)
        names = ("alpha", "beta", "min_requests", "stale_after", "split_alpha", "guard")
        rest = {name: document[name] for name in names if document.get(name) is not None}
        return Policy(measures=tuple(measures), **rest)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput("The analysis cannot be read", why=str(error)) from error


def _from_table(document: Mapping[str, Any]) -> list[Measure]:
    measures = []
    for name in ("error_rate", *_QUANTILES):
        limits = document.get(name)
        if limits is None:
            continue
        increase, limit = limits.get("max_increase"), limits.get("max")
        if increase is None and limit is None:
            increase = 0.0
        least = WITHIN_ERRORS if name == "error_rate" else WITHIN_LATENCY
        measures.append(
            Measure(
                name,
                "errors" if name == "error_rate" else "latency",
                quantile=_QUANTILES.get(name, 0.99),
                max_increase=increase,
                max=limit,
                within=max(increase or 0.0, least),
                dry_run=bool(limits.get("dry_run", False)),
            )
        )
    for entry in document.get("metrics") or ():
        measures.append(
            Measure(
                str(entry["name"]),
                "value",
                max=entry.get("max"),
                min=entry.get("min"),
                failure_limit=int(entry.get("failure_limit", 2)),
                dry_run=bool(entry.get("dry_run", False)),
            )
        )
    return measures


def _check(policy: Policy) -> None:
    names = [measure.name for measure in policy.measures]
    if len(set(names)) != len(names):
        raise InvalidInput("Two measures of the analysis have the same name")
    shares = (policy.alpha, policy.beta, policy.split_alpha)
    if not all(_LEAST_SHARE <= share < 1 for share in shares) or policy.min_requests < 1:
        raise InvalidInput(
            "The analysis needs error shares between 0 and 1, and some requests",
            why=f"a share of errors is at least {_LEAST_SHARE:g}",
        )
    for measure in policy.measures:
        limits = (measure.max_increase, measure.max, measure.min, measure.within, measure.weight)
        if measure.kind not in ("errors", "latency", "value") or not all(
            math.isfinite(limit) for limit in limits if limit is not None
        ):
            raise InvalidInput("A measure's limits are no numbers", subject=measure.name)
        if measure.kind == "value":
            continue
        if measure.max_increase is None and measure.max is None:
            raise InvalidInput("A measure has no limit", subject=measure.name)
        if min(limit for limit in limits if limit is not None) < 0 or measure.weight == 0:
            raise InvalidInput("A measure's limits are negative", subject=measure.name)
        if measure.kind == "errors" and (measure.max or 0) > 1:
            raise InvalidInput("An error rate is a share of 1", subject=measure.name)
        if not 0 < measure.quantile < 1:
            raise InvalidInput("A quantile lies between 0 and 1", subject=measure.name)
