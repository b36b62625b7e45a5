"""Traces of deployments: phases and steps as spans; pure functions of the record.

A trace is made from the record at the end of a deployment, with identifiers that follow from
its own.  So it survives whatever happened to the server meanwhile, and sending it a second time
makes no second trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from turnout.base.logs import scrub
from turnout.wire.api import DeploymentDetail, PhaseDocument, StepDocument

Value = str | int | bool | float

_TEXT_CHARS = 1000


@dataclass(frozen=True)
class Span:
    """One span: identifiers in hexadecimal, times in nanoseconds since 1970."""

    trace: str
    id: str
    parent: str | None
    name: str
    started: int
    ended: int
    attributes: Mapping[str, Value]
    error: str | None = None


def trace_id(deployment: str) -> str:
    """Return the trace of a deployment, 32 hexadecimal digits."""
    return _hash("trace", deployment, 32)


def spans(detail: DeploymentDetail) -> tuple[Span, ...]:
    """Return the trace of a deployment that has ended: itself, its phases, their steps.

    What never began has no span; what never ended, since something before it failed, ends with
    the deployment.
    """
    trace = trace_id(detail.id)
    began = _ns(detail.started_at or detail.created_at)
    ended = max(began, _ns(detail.finished_at or detail.started_at or detail.created_at))
    root = Span(
        trace,
        _hash("span", detail.id, 16),
        None,
        f"{detail.kind} {detail.project}/{detail.environment}",
        began,
        ended,
        _deployment(detail),
        _text(detail.reason or detail.status) if detail.status != "succeeded" else None,
    )
    found = [root]
    phases: dict[str, str] = {}
    for phase in detail.phases:
        if phase.started_at is None:
            continue
        span = _phase(trace, root, detail.id, phase)
        phases[phase.name] = span.id
        found.append(span)
    found += [
        _step(trace, root, phases.get(step.phase, root.id), detail.id, step)
        for step in detail.steps
        if step.started_at is not None
    ]
    return tuple(found)


def _deployment(detail: DeploymentDetail) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "deployment.id": detail.id,
        "deployment.name": f"{detail.project}/{detail.environment}",
        "deployment.status": "succeeded" if detail.status == "succeeded" else "failed",
        "deployment.environment.name": detail.environment,
        "turnout.project": detail.project,
        "turnout.kind": detail.kind,
        "turnout.strategy": detail.strategy,
        "turnout.release": detail.release,
        "turnout.status": detail.status,
    }
    if detail.previous_release:
        attributes["turnout.previous_release"] = detail.previous_release
    return attributes


def _phase(trace: str, root: Span, deployment: str, phase: PhaseDocument) -> Span:
    began, ended = _times(root, phase.started_at, phase.finished_at)
    return Span(
        trace,
        _hash("span", f"{deployment}/phase/{phase.name}", 16),
        root.id,
        f"phase {phase.name}",
        began,
        ended,
        {
            "deployment.id": deployment,
            "turnout.phase": phase.name,
            "turnout.status": phase.status,
        },
        "the phase failed" if phase.status == "failed" else None,
    )


def _step(trace: str, root: Span, parent: str, deployment: str, step: StepDocument) -> Span:
    began, ended = _times(root, step.started_at, step.finished_at)
    attributes: dict[str, Value] = {
        "deployment.id": deployment,
        "turnout.phase": step.phase,
        "turnout.step": step.index,
        "turnout.action": step.action,
        "turnout.title": step.title,
        "turnout.status": step.status,
        "turnout.attempts": step.attempts,
    }
    if step.host:
        attributes["turnout.host"] = step.host
    failed = step.status in ("failed", "undo_failed")
    return Span(
        trace,
        _hash("span", f"{deployment}/step/{step.index}", 16),
        parent,
        f"step {step.action}",
        began,
        ended,
        attributes,
        (_text(step.error) or "it failed") if failed else None,
    )


def _times(root: Span, began: datetime | None, ended: datetime | None) -> tuple[int, int]:
    first = _ns(began) if began else root.started
    return first, max(first, _ns(ended) if ended else root.ended)


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000


def _text(text: str) -> str:
    return scrub(text)[:_TEXT_CHARS]


def _hash(kind: str, name: str, digits: int) -> str:
    return hashlib.sha256(f"turnout {kind}\0{name}".encode()).hexdigest()[:digits]
