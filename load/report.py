"""What a load saw: one record for each request, and what can be asked of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from load.targets import QUICK, Kind


@dataclass(frozen=True, slots=True)
class Record:
    """One request.

    Attributes:
        target: The name of the target.
        kind: How the client behaved.
        start: When it was due, in seconds of ``time.monotonic()``.
        latency: Seconds from *start* to the last byte, so that waiting counts.
        status: The status, 0 if none came.
        release: The release that answered, empty if unknown.
        failure: Why it failed, empty if it did not.
    """

    target: str
    kind: Kind
    start: float
    latency: float
    status: int
    release: str
    failure: str

    @property
    def end(self) -> float:
        """When the last byte came, in seconds of ``time.monotonic()``."""
        return self.start + self.latency


@dataclass(frozen=True)
class Report:
    """Records of a load, or of a part of it.

    Attributes:
        records: In the order in which they ended.
        skipped: Requests that were due while too many were open; they were never sent.
    """

    records: Sequence[Record]
    skipped: int = 0

    @property
    def requests(self) -> int:
        return len(self.records)

    @property
    def failed(self) -> int:
        return len(self._failures)

    @property
    def failures(self) -> Counter[tuple[Kind, str]]:
        """How many requests failed, by kind of client and reason."""
        return Counter((record.kind, record.failure) for record in self._failures)

    @property
    def by_kind(self) -> Counter[Kind]:
        return Counter(record.kind for record in self.records)

    @property
    def by_release(self) -> Counter[str]:
        return Counter(record.release for record in self.records if record.release)

    def between(self, begin: float, end: float) -> Report:
        """Return the requests that were due in [begin, end) of ``time.monotonic()``."""
        return Report([record for record in self.records if begin <= record.start < end])

    def overlapping(self, begin: float, end: float) -> Report:
        """Return the requests that were under way at some time in [begin, end)."""
        return Report([r for r in self.records if r.start < end and r.end >= begin])

    def of(self, *, target: str | None = None, kind: Kind | None = None) -> Report:
        """Return the requests to one target, of one kind, or both."""
        return Report(
            [
                record
                for record in self.records
                if (target is None or record.target == target)
                and (kind is None or record.kind is kind)
            ]
        )

    def latency(self, quantile: float) -> float:
        """Return a latency quantile in seconds over answered quick requests.

        Nearest rank; NaN if there was none.  Slow and streaming clients set their own pace and
        are left out.

        Args:
            quantile: From 0 to 1, such as 0.99.
        """
        times = self._quick_latencies
        if not times:
            return math.nan
        return times[max(0, math.ceil(quantile * len(times)) - 1)]

    def last_start(self, release: str) -> float | None:
        """Return when the last quick request that *release* answered was due."""
        return max(
            (r.start for r in self.records if r.release == release and r.kind in QUICK),
            default=None,
        )

    def to_document(self) -> dict[str, object]:
        """Return the summary as plain JSON values; latencies in milliseconds, None if unknown."""
        quantiles = {f"p{q}": self.latency(q / 100) for q in (50, 90, 99, 100)}
        return {
            "requests": self.requests,
            "failed": self.failed,
            "skipped": self.skipped,
            "by_kind": {kind.value: count for kind, count in sorted(self.by_kind.items())},
            "by_release": dict(self.by_release),
            "failures": [
                {"kind": kind.value, "reason": reason, "count": count}
                for (kind, reason), count in self.failures.most_common()
            ],
            "latency_ms": {
                name: None if math.isnan(value) else round(value * 1000, 3)
                for name, value in quantiles.items()
            },
        }

    @cached_property
    def _failures(self) -> list[Record]:
        return [record for record in self.records if record.failure]

    @cached_property
    def _quick_latencies(self) -> list[float]:
        return sorted(r.latency for r in self.records if r.kind in QUICK and not r.failure)
