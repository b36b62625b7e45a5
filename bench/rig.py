"""What the benchmarks share: clocks, statistics, and deployments of a project on a stand."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.stand.projects import Project
from tests.stand.stand import Ended, Stand


def deploy(stand: Stand, project: Project, *more: str) -> Ended:
    """Deploy a project as it is; return how the command ended.

    Raises:
        AssertionError: It did not succeed.
    """
    ended = stand.cli("deploy", project.path, "--to", "production", *more, timeout=600)
    assert ended.code == 0, (ended.said, ended.out)
    return ended


def rollback(stand: Stand, project: Project) -> Ended:
    """Roll a project back; return how the command ended.

    Raises:
        AssertionError: It did not succeed.
    """
    ended = stand.cli("rollback", "production", "--project", project.name)
    assert ended.code == 0, (ended.said, ended.out)
    return ended


def events(stand: Stand, deployment: str) -> list[dict[str, Any]]:
    """Return the events of a deployment, with ``at`` in seconds since 1970."""
    rows = stand.query(
        "select at, kind, json_extract(data, '$.action') as action from events "
        "where deployment = ? order by seq",
        deployment,
    )
    return [{**row, "at": datetime.fromisoformat(row["at"]).timestamp()} for row in rows]


def moment(stand: Stand, deployment: str, kind: str, action: str | None = None) -> float:
    """Return when an event was written, in seconds since 1970."""
    return next(
        float(event["at"])
        for event in events(stand, deployment)
        if event["kind"] == kind and (action is None or event["action"] == action)
    )


def monotonic(at: float) -> float:
    """Return a moment in seconds since 1970 as seconds of ``time.monotonic()``."""
    return at - time.time() + time.monotonic()


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of *values*; NaN of none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(q * len(ranked)) - 1)] if ranked else math.nan


def shown(values: Sequence[float], unit: str = "ms", scale: float = 1000.0) -> str:
    """Return median and range of *values* in seconds as people read them."""
    low, middle, high = (quantile(values, q) * scale for q in (0.0, 0.5, 1.0))
    return f"{middle:.0f} {unit} ({low:.0f}-{high:.0f}, n = {len(values)})"
