"""The evidence of a deployment as people read it: the verdict, its charts, what was decided."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from turnout.cli.charts import Line, chart, columns
from turnout.cli.problems import visible
from turnout.cli.rendering import Row, moment, table
from turnout.wire.api import DeploymentDetail
from turnout.wire.evidence import (
    ArmPoint,
    Decision,
    EvidenceDocument,
    EvidencePoint,
    ReplayDocument,
    VerdictDocument,
)

_AXIS = 14
"""Columns that an axis takes."""
_LN10 = math.log(10)


def evidence_lines(
    document: EvidenceDocument, detail: DeploymentDetail, width: int
) -> Iterator[str]:
    """Yield why a deployment decided as it did.

    Args:
        document: Its evidence.
        detail: The deployment.
        width: Columns of the terminal.
    """
    against = f", compared with {document.control[:12]}" if document.control else ""
    place = f"{document.project}/{document.environment}"
    yield f"{document.deployment}: {document.strategy} of {document.release[:12]} to {place}{against}"
    yield visible(f"status: {detail.status.replace('_', ' ')}")
    for line in detail.reason.splitlines():
        yield visible(f"  {line}")
    if document.verdict is None and not document.points and not document.decisions:
        yield "Nothing was judged: no step of it looked at live traffic."
        return
    yield from verdict_lines(document.verdict, f"alpha {document.alpha:.1%}")
    yield from _charts(document, max(20, width - _AXIS))
    if document.decisions:
        yield ""
        yield "decisions:"
        yield from _indented(table(_decision_rows(document.decisions)))


def replay_lines(document: ReplayDocument) -> Iterator[str]:
    """Yield what another policy would have said of what a deployment recorded."""
    found, actual = document.verdict, document.actual
    yield f"{document.deployment}: by this policy {_word(found)}"
    if document.first is not None:
        yield f"first decided at {moment(document.first)}"
    else:
        yield "it never decides: neither good nor bad by the end"
    if actual is not None:
        same = "the same" if actual.verdict == found.verdict else "not the same"
        yield visible(f"by its own policy {_word(actual)}; {same}")
    yield from verdict_lines(found, "")
    if document.decisions:
        yield ""
        yield "as it would have gone:"
        yield from _indented(table(_decision_rows(document.decisions)))


def verdict_lines(verdict: VerdictDocument | None, promise: str) -> Iterator[str]:
    """Yield a verdict with what each measure says."""
    yield ""
    if verdict is None:
        yield "verdict: none yet"
        return
    yield visible(f"verdict: {verdict.verdict}" + (f" ({promise})" if promise else ""))
    if verdict.reason:
        yield visible(f"  {verdict.reason}")
    rows = list(_measure_rows(verdict.metrics))
    if len(rows) > 1:
        yield from _indented(table(iter(rows)))
    split = verdict.evidence.get("split")
    if isinstance(split, Mapping) and _over(split):
        yield "  the split of the traffic is not as asked, so the arms cannot be compared"


def _charts(document: EvidenceDocument, width: int) -> Iterator[str]:
    points = document.points
    if not points:
        return
    parts = [[points[at] for at in part] for part in columns(len(points), width)]
    times = [part[-1].at for part in parts]
    arms = [Line("x", "candidate", [_rate([point.candidate for point in part]) for part in parts])]
    if document.control is not None:
        rates = [_rate([point.control for point in part]) for part in parts]
        arms.append(Line("o", "control", rates))
    yield ""
    yield from chart("error rate", arms, times, lambda value: f"{value:.2%}", least=0.01)
    yield from _weights(parts, times)
    for name in sorted(document.log_threshold):
        told = [_last_log(part, name) for part in parts]
        if any(value is not None for value in told):
            yield ""
            yield from chart(
                f"e-value of {name} (logarithmic; above the line it is bad)",
                [Line("x", "e-value", told)],
                times,
                _power,
                document.log_threshold[name] / _LN10,
            )


def _weights(parts: Sequence[Sequence[EvidencePoint]], times: Sequence[Any]) -> Iterator[str]:
    """Yield the weights that the candidate had, each with its time, in one line."""
    changes: list[str] = []
    known: int | None = None
    for part, at in zip(parts, times, strict=True):
        if part[-1].weight != known:
            known = part[-1].weight
            changes.append(f"{known} % from {at.astimezone():%H:%M:%S}")
    yield f"  weight: {', '.join(changes)}"
    lost = sum(not point.available for part in parts for point in part)
    if lost:
        yield f"  in {lost} of the points a host could not be asked"


def _rate(arms: Sequence[ArmPoint]) -> float | None:
    requests = sum(arm.requests for arm in arms)
    return sum(arm.errors for arm in arms) / requests if requests else None


def _last_log(part: Sequence[EvidencePoint], name: str) -> float | None:
    found = [point.log_e[name] for point in part if name in point.log_e]
    return found[-1] / _LN10 if found else None


def _power(exponent: float) -> str:
    return f"{10**exponent:.3g}" if -3 <= exponent <= 5 else f"1e{exponent:+.0f}"


def _measure_rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    yield ("MEASURE", "VERDICT", "CANDIDATE", "CONTROL", "E-VALUE", "LINE", "ALLOWED")
    for name, told in metrics.items():
        yield (
            name + (" (only shown)" if told.get("dry_run") else ""),
            str(told.get("verdict", "-")),
            _arm(told.get("candidate")) or _number(told.get("value")),
            _arm(told.get("control")) or "-",
            _number(told.get("e")),
            _number(told.get("threshold")),
            _allowed(told),
        )


def _arm(arm: Any) -> str:
    if not isinstance(arm, Mapping):
        return ""
    requests = _number(arm.get("requests"))
    if _is_number(arm.get("rate")):
        return f"{arm['rate']:.2%} ({_number(arm.get('count'))} of {requests})"
    if _is_number(arm.get("quantile")):
        return f"{arm['quantile']:.1f} ms ({requests} requests)"
    return f"{requests} requests"


def _allowed(told: Mapping[str, Any]) -> str:
    found = []
    increase, most, least = told.get("max_increase"), told.get("max"), told.get("min")
    if _is_number(increase):
        errors = told.get("kind") == "errors"
        found.append(f"{increase * 100:g} points more" if errors else f"{increase:.0%} more")
    if _is_number(most):
        found.append(f"at most {most:g}")
    if _is_number(least):
        found.append(f"at least {least:g}")
    return ", ".join(found) or "-"


def _decision_rows(decisions: Sequence[Decision]) -> Iterator[Row]:
    yield ("TIME", "STEP", "WHAT", "WEIGHT", "VERDICT", "BY", "WHY")
    for one in decisions:
        row = (moment(one.at), str(one.step + 1), one.what, f"{one.weight} %", one.verdict, one.by)
        yield (*row, " ".join(one.reason.split()))


def _over(split: Mapping[str, Any]) -> bool:
    log_e, line = split.get("log_e"), split.get("log_threshold")
    return _is_number(log_e) and _is_number(line) and log_e >= line


def _word(verdict: VerdictDocument) -> str:
    return f"{verdict.verdict}: {verdict.reason}" if verdict.reason else verdict.verdict


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if _is_number(value) else "-"
