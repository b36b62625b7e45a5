"""What people asked of a deployment while it was judged, among what it decided itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from turnout.wire.evidence import Decision

ASKED: Mapping[str, str] = {
    "approval.given": "approved",
    "approval.refused": "rejected",
    "deployment.pause_asked": "pause",
    "deployment.resume_asked": "resume",
    "deployment.abort_asked": "abort-asked",
}
"""Kind of event to how the decision is called.  Who promotes is named by the step that then ends."""


def by_people(
    told: Iterable[tuple[datetime, str, Mapping[str, Any]]],
    seen: Sequence[Mapping[str, Any]],
) -> list[Decision]:
    """Return what people decided, with the weight and the verdict of that moment.

    Args:
        told: Time, kind and data of events, oldest first.
        seen: Recorded seconds, oldest first; one without any before it has weight 0.
    """
    moments = [float(point["at"]) for point in seen]
    found = []
    for at, kind, data in told:
        place = bisect_right(moments, at.timestamp()) - 1
        point: Mapping[str, Any] = seen[place] if place >= 0 else {}
        found.append(
            Decision(
                at=at,
                step=int(data.get("step", point.get("step", 0))),
                what=ASKED[kind],
                weight=int(point.get("w", 0)),
                verdict=point.get("v", "unknown"),
                reason=str(data.get("reason") or data.get("why") or ""),
                by=str(data.get("by", "")),
            )
        )
    return found
