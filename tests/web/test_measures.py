"""Evidence of any form becomes a table that people read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web import samples
from turnout.web.evidence import view
from turnout.web.measures import facts, measures


def test_a_measure_is_a_row() -> None:
    verdict = samples.evidence().verdict
    assert verdict is not None
    errors, latency = measures(verdict.metrics)
    assert errors.candidate == "6.09 % (5.4 % to 6.8 %); 287 of 4,711"
    assert (errors.e_value, errors.line, errors.allowed) == ("8,103", "200", "0.5 points more")
    assert errors.tone == "bad" and errors.decides
    assert latency.candidate == "97.3 ms (at least 88 ms); 4,711 requests"
    assert latency.allowed == "20 % more" and not latency.decides
    assert ("guard", "1.4") in errors.rest


def test_a_value_from_elsewhere_is_a_row() -> None:
    values = {"kind": "value", "value": 3.5, "low": None, "high": 4.0, "max": 5, "verdict": "good"}
    (row,) = measures({"queue_length": values})
    assert (row.candidate, row.control) == ("3.5 (at most 4)", "")
    assert row.allowed == "at most 5"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"a_b": {"rate": 0.25}}, (("a b rate", "25 %"),)),
        ({"x": float("inf")}, (("x", "without bound"),)),
        ({"x": True, "y": None, "z": ""}, (("x", "yes"),)),
        ({"x": [1, 2, {"y": 3}]}, (("x", "1, 2"),)),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, ()),
    ],
)
def test_facts_are_flat(values: dict[str, Any], told: tuple[tuple[str, str], ...]) -> None:
    assert facts(values) == told


_text = st.sampled_from(["", "rate", "e", "low", "max", "x_ms", "\u202e<b>"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner) | st.dictionaries(_text, inner),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(_text, st.dictionaries(_text, _json)))
def test_no_evidence_breaks_the_table(metrics: dict[str, dict[str, Any]]) -> None:
    assert len(measures(metrics)) == len(metrics)


def test_the_numbers_behind_the_charts_are_few_and_complete() -> None:
    document = samples.evidence()
    rows = view(document, samples.NOW).counts
    assert 1 < len(rows) <= 12
    total = sum(int(row.candidate.split(" of ")[1].replace(",", "")) for row in rows)
    assert total == sum(point.candidate.requests for point in document.points)


def test_nothing_measured_is_empty() -> None:
    document = samples.evidence().model_copy(
        update={"points": (), "decisions": (), "verdict": None}
    )
    assert view(document, samples.NOW).is_empty
    assert not view(samples.evidence(), samples.NOW).is_empty
