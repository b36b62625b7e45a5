"""The weights of an automatic schedule: bounded by the evidence, and never falling."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.strategies import Bounds, Evidence, next_weight

WEIGHTS = st.integers(1, 100)
EVIDENCE = st.builds(
    Evidence,
    confidence=st.floats(0, 1),
    requests=st.integers(0, 10**7),
    seconds=st.floats(0, 10**4),
    requests_per_minute=st.floats(0, 10**7),
)
BOUNDS = st.builds(
    Bounds,
    max=st.integers(1, 100),
    interval=st.floats(1, 600),
    min_requests=st.integers(1, 10**4),
    accepted=st.floats(0.01, 50),
    factor=st.floats(1.01, 10),
)
SURE = Evidence(1.0, 10**6, 60.0, 6000.0)


@given(weight=WEIGHTS, evidence=EVIDENCE, bounds=BOUNDS)
def test_it_stays_within_its_bounds_and_never_falls(
    weight: int, evidence: Evidence, bounds: Bounds
) -> None:
    found = next_weight(weight, evidence, bounds)
    assert weight <= found <= max(weight, bounds.max)


@given(weight=WEIGHTS, evidence=EVIDENCE, more=EVIDENCE, bounds=BOUNDS)
def test_more_evidence_never_slows_it(
    weight: int, evidence: Evidence, more: Evidence, bounds: Bounds
) -> None:
    better = replace(
        evidence,
        confidence=max(evidence.confidence, more.confidence),
        requests=max(evidence.requests, more.requests),
        seconds=max(evidence.seconds, more.seconds),
    )
    assert next_weight(weight, better, bounds) >= next_weight(weight, evidence, bounds)


@given(weight=WEIGHTS, evidence=EVIDENCE, bounds=BOUNDS)
def test_what_it_risks_is_accepted(weight: int, evidence: Evidence, bounds: Bounds) -> None:
    found = next_weight(weight, evidence, bounds)
    if found > weight:
        assert (1 - evidence.confidence) * found <= bounds.accepted + 1e-3
        expected = evidence.requests_per_minute / 60 * bounds.interval * found / 100
        assert expected <= evidence.requests * (1 + 1e-5)


@pytest.mark.parametrize(
    "nothing",
    [
        Evidence(0.0, 10**6, 60.0, 6000.0),
        Evidence(1.0, 0, 60.0, 6000.0),
        Evidence(1.0, 99, 60.0, 6000.0),
        Evidence(1.0, 10**6, 4.9, 6000.0),
    ],
)
def test_it_stays_where_there_is_no_evidence(nothing: Evidence) -> None:
    assert [next_weight(weight, nothing, Bounds()) for weight in (1, 5, 40)] == [1, 5, 40]


def test_good_evidence_carries_it_to_the_end_by_doubling() -> None:
    weight, seen = 1, [1]
    while weight < 100:
        weight = next_weight(weight, SURE, Bounds())
        seen.append(weight)
    assert seen == [1, 2, 4, 8, 16, 32, 64, 100]


@pytest.mark.parametrize(("confidence", "most"), [(0.5, 2), (0.9, 10), (0.98, 50), (0.99, 100)])
def test_the_less_sure_the_less_traffic(confidence: float, most: int) -> None:
    weight = 1
    for _ in range(20):
        weight = next_weight(weight, replace(SURE, confidence=confidence), Bounds())
    assert weight == most


def test_an_interval_bears_no_more_requests_than_were_seen() -> None:
    # 6000 a minute are 500 in 5 s: after 100 requests it may have 20 % of them.
    few = replace(SURE, requests=100)
    assert next_weight(16, few, Bounds()) == 20
