"""A canary in all its states: documents such as the coordinator writes, for pages to show."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.coordinator import FakeCoordinator
from turnout.base import clock
from turnout.wire.api import (
    DeploymentDetail,
    EnvironmentDocument,
    LogEntry,
    PhaseDocument,
    RollbackRequest,
    SplitPart,
    StepDocument,
    WaitingFor,
)
from turnout.wire.evidence import (
    ArmPoint,
    Decision,
    EvidenceDocument,
    EvidencePoint,
    VerdictDocument,
)

ID = "dep-canary"
RELEASE, LIVE = "cd" * 32, "ab" * 32
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e{{ 7*7 }}'

_PLAN = (
    ("initiation", "check-host", "Check that web-1 can take it", None),
    ("preparation", "seal", "Seal the release for production", None),
    ("staging", "stage", "Unpack the release", "discard the unpacked release"),
    ("staging", "start", "Start 2 instances", "stop them"),
    ("validation", "await-ready", "Wait until both are ready", None),
    ("validation", "command", "Migrate the database", None),
    ("promotion", "switch", "Give it 5 % of the traffic", "all traffic back to the live release"),
    ("promotion", "hold", "Hold at 5 %", None),
    ("promotion", "switch", "Give it 25 % of the traffic", None),
    ("promotion", "hold", "Hold at 25 %", None),
    ("promotion", "confirm", "Confirm it as live", None),
    ("verification", "verify", "Watch the live traffic", None),
    ("cleanup", "drain", "Drain the old release", None),
    ("cleanup", "stop", "Stop it after its warm time", None),
)
_PHASES = (
    "initiation", "preparation", "staging", "validation", "promotion", "verification", "cleanup",
)  # fmt: skip


def canary(now: datetime = NOW, at: int = 9, **changes: Any) -> DeploymentDetail:
    """Return a canary whose step *at* runs at *now*."""
    begun = now - timedelta(minutes=4)
    steps = tuple(
        StepDocument(
            index=index,
            phase=phase,
            action=action,
            host="web-1" if action not in ("seal", "confirm") else None,
            title=title,
            status="done" if index < at else "running" if index == at else "pending",
            attempts=2 if action == "stage" else 1 if index <= at else 0,
            started_at=begun + timedelta(seconds=20 * index) if index <= at else None,
            finished_at=begun + timedelta(seconds=20 * index + 3) if index < at else None,
            result={"bytes": 51_234_567, "files": 812} if action == "stage" else {},
            undo=undo,
            irreversible=action == "command",
        )
        for index, (phase, action, title, undo) in enumerate(_PLAN)
    )
    under_way = _PLAN[at][0]
    place = _PHASES.index(under_way)
    values: dict[str, Any] = {
        "id": ID,
        "kind": "deployment",
        "project": "shop",
        "environment": "production",
        "strategy": "canary",
        "release": RELEASE,
        "previous_release": LIVE,
        "status": "waiting",
        "phase": under_way,
        "message": "Faster checkout: one page instead of three",
        "requested_by": "admin",
        "created_at": begun,
        "started_at": begun,
        "finished_at": None,
        "duration_s": 240.0,
        "url": "http://shop.localhost:8080/",
        "urls": ("http://shop.localhost:8080/",),
        "release_url": "http://cdcdcdcdcdcd--shop.localhost:8080/",
        "events_url": "",
        "phases": tuple(
            PhaseDocument(
                name=name,
                status="done" if index < place else "running" if index == place else "pending",
                started_at=begun + timedelta(seconds=20 * index) if index <= place else None,
                finished_at=begun + timedelta(seconds=20 * index + 18) if index < place else None,
            )
            for index, name in enumerate(_PHASES)
        ),
        "steps": steps,
        "waiting_for": WaitingFor(
            kind="hold",
            since=now - timedelta(seconds=50),
            until=now + timedelta(minutes=4),
            reason="25 % until the verdict is in; unknown so far.",
            ways_out=("promote", "abort"),
        ),
        "split": (
            SplitPart(revision="c" * 16, release=RELEASE, role="candidate", weight=25),
            SplitPart(revision="b" * 16, release=LIVE, role="control", weight=25),
            SplitPart(revision="a" * 16, release=LIVE, role="live", weight=50),
        ),
        "plan_digest": "f" * 64,
        "no_return_at": 5,
    }
    return DeploymentDetail.model_validate({**values, **changes})


def evidence(now: datetime = NOW, count: int = 120, *, bad: bool = True) -> EvidenceDocument:
    """Return two minutes of evidence, with an outage in it, that ends in a verdict."""
    rand = random.Random(7)
    begun = now - timedelta(seconds=count)
    points = []
    log_e = {"error_rate": 0.0, "latency_p99": 0.0}
    for second in range(count):
        weight = 5 if second < count // 2 else 25
        available = not 40 <= second < 48
        requests = rand.randint(weight, 3 * weight)
        errors = sum(rand.random() < (0.06 if bad else 0.004) for _ in range(requests))
        slow = 80 + rand.random() * 30
        if available:
            log_e["error_rate"] += 0.09 if bad else -0.03
            log_e["latency_p99"] -= 0.02
        wide = 60 / math.sqrt(second + 2)
        points.append(
            EvidencePoint(
                at=begun + timedelta(seconds=second),
                step=7 if weight == 5 else 9,
                weight=weight,
                control_weight=weight,
                available=available,
                candidate=ArmPoint(
                    requests=requests, errors=errors, p50=20 + rand.random() * 4, p90=50,
                    p99=slow, p99_low=85 - wide, p99_high=105 + wide,
                ) if available else ArmPoint(),
                control=ArmPoint(
                    requests=requests, errors=int(rand.random() < 0.05), p50=19, p90=48,
                    p99=85 + rand.random() * 10, p99_low=86 - wide, p99_high=96 + wide,
                ) if available else ArmPoint(),
                log_e=dict(log_e),
                verdict="bad" if second > 100 and bad else "unknown",
            )
        )  # fmt: skip
    decided = [
        (0, "weight", 5, "unknown", "The schedule begins."),
        (count // 2, "go-on", 25, "good", "No worse than the control on 1,204 requests."),
        (count - 10, "abort", 0, "bad", "Errors: 6.1 % against 0.3 %, e-value 8,100."),
    ]
    return EvidenceDocument(
        deployment=ID,
        project="shop",
        environment="production",
        strategy="canary",
        release=RELEASE,
        control=LIVE,
        alpha=0.01,
        log_threshold={"error_rate": math.log(200), "latency_p99": math.log(200)},
        points=tuple(points),
        decisions=tuple(
            Decision(
                at=begun + timedelta(seconds=second), step=7, what=what, weight=weight,
                verdict=verdict, reason=reason,
            )
            for second, what, weight, verdict, reason in decided[: 3 if bad else 2]
        ),
        verdict=VerdictDocument(
            verdict="bad" if bad else "unknown",
            reason="Its answers fail more often than those of the control.",
            metrics={
                "error_rate": {
                    "kind": "errors",
                    "verdict": "bad" if bad else "unknown",
                    "reason": "error_rate is worse than allowed: 6.09 % against 0.3 %",
                    "e": 8103.1,
                    "log_e": 9.0,
                    "threshold": 200.0,
                    "candidate": {
                        "requests": 4711, "count": 287, "rate": 0.0609, "low": 0.054, "high": 0.068
                    },
                    "control": {
                        "requests": 4698, "count": 14, "rate": 0.00298, "low": 0.001, "high": 0.006
                    },
                    "difference": {"estimate": 0.058, "low": 0.049, "high": 0.067},
                    "max_increase": 0.005,
                    "guard": 1.4,
                    "dry_run": False,
                },
                "latency_p99": {
                    "kind": "latency",
                    "verdict": "good",
                    "e": 0.0021,
                    "threshold": 200.0,
                    "candidate": {"requests": 4711, "quantile": 97.3, "low": 88.0, "high": None},
                    "control": {"requests": 4698, "quantile": 90.1, "low": 86.0, "high": 96.0},
                    "max_increase": 0.2,
                    "dry_run": True,
                },
            },
            evidence={"exposure": 9409, "split": {"asked": 0.5, "measured_share": 0.501}},
        ),
        policy={"alpha": 0.01, "error_rate": {"max_increase": 0.005}},
    )  # fmt: skip


class RichCoordinator(FakeCoordinator):
    """A coordinator that keeps evidence, knows the traffic, and can be told what is live."""

    papers: EvidenceDocument | None = None
    live: EnvironmentDocument | None = None
    asked: list[tuple[str, str, str]]
    rolled: list[RollbackRequest]

    async def evidence(self, deployment: str, points: int) -> EvidenceDocument:
        await self.show(deployment)
        return self.papers or EvidenceDocument(
            deployment=deployment, project="shop", environment="production",
            strategy="canary", release=RELEASE,
        )  # fmt: skip

    async def pulse(self, project: str, environment: str) -> Sequence[float]:
        return [40 + 10 * math.sin(index / 5) for index in range(60)]

    async def environment(self, project: str, environment: str) -> EnvironmentDocument:
        known = self.live
        if known and (known.project, known.environment) == (project, environment):
            return known
        return await super().environment(project, environment)

    async def act(self, deployment: str, verb: str, reason: str, by: str) -> Any:
        answer = await super().act(deployment, verb, reason, by)
        self.asked = [*getattr(self, "asked", []), (deployment, verb, reason)]
        return answer

    async def rollback(self, request: RollbackRequest, by: str) -> Any:
        self.rolled = [*getattr(self, "rolled", []), request]
        return await super().rollback(request, by)

    async def follow_logs(self, deployment: str) -> AsyncIterator[LogEntry]:
        for line in self.lines:
            yield line


def environment_of(detail: DeploymentDetail, **changes: Any) -> EnvironmentDocument:
    """Return the environment that a deployment is under way in."""
    return EnvironmentDocument.model_validate(
        {
            "project": detail.project,
            "environment": detail.environment,
            "live_release": LIVE,
            "live_since": detail.created_at - timedelta(days=2),
            "previous_release": "12" * 32,
            "deployment": detail.id,
            "deployment_status": detail.status,
            "url": detail.url,
            "health": "healthy",
            **changes,
        }
    )


def log_entries(now: datetime | None = None) -> list[LogEntry]:
    """Return some log lines, one of them hostile."""
    begun = now or clock.now()
    return [
        LogEntry(at=begun + timedelta(seconds=index), host="web-1", source="1/stdout", text=text)
        for index, text in enumerate(("listening on 20117", HOSTILE, "GET /checkout 200 12 ms"))
    ]
