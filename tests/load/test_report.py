"""The report of a load answers from its records."""

from __future__ import annotations

import json
import math

from load import Kind, Record, Report


def record(
    start: float,
    latency: float = 0.01,
    kind: Kind = Kind.KEEP_ALIVE,
    release: str = "r1",
    failure: str = "",
) -> Record:
    return Record("shop", kind, start, latency, 200, release, failure)


def test_quantiles_are_nearest_rank_over_quick_answered_requests() -> None:
    records = [record(0, n / 100) for n in range(1, 101)]
    records += [record(0, 30, Kind.STREAM), record(0, 30, failure="timeout")]
    report = Report(records)
    assert report.latency(0.5) == 0.50
    assert report.latency(0.99) == 0.99
    assert report.latency(1) == 1.0
    assert report.latency(0) == 0.01


def test_without_answers_a_quantile_is_not_a_number() -> None:
    assert math.isnan(Report([]).latency(0.99))


def test_windows_are_by_start_and_overlaps_by_span() -> None:
    report = Report([record(1), record(2, 5), record(3)])
    assert report.between(2, 3).requests == 1
    assert report.overlapping(4, 5).requests == 1
    assert report.overlapping(1, 4).requests == 3


def test_the_last_request_of_a_release_is_found() -> None:
    report = Report([record(1), record(4), record(5, release="r2"), record(9, 1, Kind.STREAM)])
    assert report.last_start("r1") == 4
    assert report.last_start("r3") is None


def test_the_document_is_plain_json() -> None:
    report = Report([record(1), record(2, failure="status 503")], skipped=3)
    document = json.loads(json.dumps(report.to_document()))
    assert document["requests"] == 2
    assert document["failed"] == 1
    assert document["skipped"] == 3
    assert document["failures"] == [{"kind": "keep-alive", "reason": "status 503", "count": 1}]
    assert json.loads(json.dumps(Report([]).to_document()))["latency_ms"]["p99"] is None
