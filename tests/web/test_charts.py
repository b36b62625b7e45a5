"""Charts: values land where they should, and nothing that a document holds breaks a picture."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web import samples
from turnout.web.charts import paths, scales
from turnout.web.charts.chart import Chart
from turnout.web.charts.pictures import pictures
from turnout.web.charts.sparks import segments, spark
from turnout.wire.evidence import ArmPoint, Decision, EvidenceDocument, EvidencePoint


def by_key(document: EvidenceDocument) -> dict[str, Chart]:
    return {chart.key: chart for chart in pictures(document)}


def document(*points: EvidencePoint, **changes: object) -> EvidenceDocument:
    return samples.evidence().model_copy(update={"points": points, "decisions": (), **changes})


def point(second: int, **changes: object) -> EvidencePoint:
    at = samples.NOW + timedelta(seconds=second)
    return EvidencePoint.model_validate({"at": at, "step": 1, "weight": 10, **changes})


def test_a_line_breaks_where_nothing_is_known() -> None:
    assert paths.line([(0, 0.0), (0.5, None), (1, 1.0)]) == "M0.0 1000.0h0M1000.0 0.0h0"
    assert paths.line([(0, 0.0), (1, 1.0)]) == "M0.0 1000.0L1000.0 0.0"
    assert paths.line([]) == ""


def test_weights_are_stairs() -> None:
    assert paths.stairs([(0, 0.05), (0.5, 0.25)]) == "M0.0 950.0H500.0V750.0"


def test_a_band_is_an_area() -> None:
    d = paths.ribbon([(0, 0.1, 0.2), (0.5, None, 0.3), (0.6, 0.1, 0.2), (1, 0.2, 0.3)])
    assert d.count("M") == d.count("Z") == 1
    assert d.startswith("M600.0 900.0L1000.0 800.0L1000.0 700.0")


def test_lines_and_bands_begin_anew_where_they_are_told_to() -> None:
    assert (
        paths.line([(0, 0.0), (0.5, 0.5), (1, 1.0)], {2}) == "M0.0 1000.0L500.0 500.0M1000.0 0.0h0"
    )
    places = [(0, 0.1, 0.2), (0.2, 0.1, 0.2), (0.5, 0.3, 0.4), (1, 0.3, 0.4)]
    assert paths.ribbon(places, {2}).count("Z") == 2


@pytest.mark.parametrize(
    ("value", "up"), [(0, 1), (0.0031, 0.005), (1, 1), (1.1, 2), (2.4, 2.5), (7, 10), (99, 100)]
)
def test_scales_end_on_round_numbers(value: float, up: float) -> None:
    assert scales.rounded_up(value) == pytest.approx(up)


@given(st.floats(min_value=0, max_value=1e8))
def test_time_has_few_ticks(seconds: float) -> None:
    assert 1 <= len(scales.elapsed(seconds)) <= 5


def test_the_threshold_is_drawn_where_the_line_crosses_it() -> None:
    chart = by_key(samples.evidence())["evidence"]
    (rule,) = chart.rules
    assert rule.label == "bad from 200"
    level = float(rule.place.rstrip("%")) * 10
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", chart.lines[0].d)]
    assert heights[0] > level > heights[-1], "it begins under the line and ends over it"


def test_all_four_pictures_have_a_text() -> None:
    found = by_key(samples.evidence())
    assert list(found) == ["weight", "errors", "latency", "evidence"]
    assert "now 25 percent" in found["weight"].summary
    assert "candidate p99" in found["latency"].summary
    assert [area.look for area in found["latency"].areas] == ["candidate", "control"]
    assert all(chart.blind for chart in found.values()), "the outage is seen"


def test_a_pause_is_a_gap_but_the_weight_stays() -> None:
    timed = ArmPoint(requests=9, p99=5.0)
    seconds = [*range(10), *range(40, 50)]
    points = [point(n, candidate=timed, log_e={"latency_p99": n}) for n in seconds]
    found = by_key(document(*points))
    for key in ("errors", "latency", "evidence"):
        assert found[key].lines[0].d.count("M") == 2, key
    assert found["weight"].lines[0].d.count("M") == 1


def test_evidence_begins_anew_with_each_step() -> None:
    timed = ArmPoint(requests=9, p99=5.0, p99_low=4.0, p99_high=7.0)
    points = [point(n, step=1 + n // 5, candidate=timed, log_e={"p99": n}) for n in range(10)]
    found = by_key(document(*points))
    assert found["evidence"].lines[0].d.count("M") == 2
    assert found["latency"].areas[0].d.count("Z") == 2
    assert found["latency"].lines[0].d.count("M") == 1


def test_a_band_is_open_until_its_upper_end_is_known() -> None:
    points = [
        point(n, candidate=ArmPoint(requests=9, p99=5.0, p99_low=4.0, p99_high=high))
        for n, high in enumerate([None, None, 8.0, 7.0])
    ]
    closed, above = by_key(document(*points))["latency"].areas
    assert (closed.look, above.look) == ("candidate", "candidate-open")
    assert above.d == "M0.0 600.0L333.3 600.0L666.7 600.0L666.7 0.0L333.3 0.0L0.0 0.0Z"
    assert closed.d.startswith("M666.7 600.0L1000.0 600.0L")


def test_decisions_are_numbered_as_in_the_list() -> None:
    marks = by_key(samples.evidence())["weight"].marks
    assert [mark.number for mark in marks] == ["1", "2", "3"]


def test_numbers_that_would_overlap_are_left_out() -> None:
    base = samples.evidence()
    at = base.points[0].at
    crowd = tuple(
        Decision(at=at + timedelta(milliseconds=index), step=1, what="weight", weight=index)
        for index in range(100)
    )
    marks = by_key(base.model_copy(update={"decisions": crowd}))["weight"].marks
    assert len(marks) == 100 and sum(bool(mark.number) for mark in marks) == 1


def test_an_error_rate_is_taken_over_several_points() -> None:
    points = [point(n, candidate=ArmPoint(requests=1, errors=int(n == 4))) for n in range(10)]
    line = by_key(document(*points))["errors"].lines[0]
    assert line.last == "0 %"
    assert "control" not in [one.label for one in by_key(document(*points))["errors"].lines]


def test_without_points_there_is_no_picture() -> None:
    assert pictures(document()) == ()
    assert [chart.key for chart in pictures(document(point(0)))] == ["weight"]


_numbers = st.none() | st.floats(min_value=0, max_value=1e9)
_arms = st.builds(
    ArmPoint,
    requests=st.integers(0, 10**9),
    errors=st.integers(0, 10**9),
    p50=_numbers, p99=_numbers, p99_low=_numbers, p99_high=_numbers,
)  # fmt: skip
_points = st.lists(
    st.builds(
        point,
        st.integers(0, 10**7),
        weight=st.integers(0, 100),
        available=st.booleans(),
        candidate=_arms,
        control=_arms,
        log_e=st.dictionaries(
            st.sampled_from(["error_rate", "latency_p99"]),
            st.floats(min_value=-1e6, max_value=1e6) | st.just(-math.inf) | st.just(math.inf),
        ),
    ),
    max_size=6,
)


@given(_points)
def test_no_evidence_breaks_a_picture(points: list[EvidencePoint]) -> None:
    for chart in pictures(document(*points, log_threshold={})):
        for one in (*chart.lines, *chart.areas):
            assert re.fullmatch(r"[MLHVZh0-9. -]*", one.d)
            for number in re.findall(r"-?[\d.]+", one.d):
                assert 0 <= float(number) <= 1000


def test_a_split_bar_is_full() -> None:
    parts = segments(samples.canary().split)
    assert [part.width for part in parts] == ["25.00%", "25.00%", "50.00%"]
    assert segments(()) == ()


def test_a_sparkline_needs_two_values() -> None:
    assert spark([3.0]) is None
    found = spark([0.0, 12.0])
    assert found is not None and found.label == "12 requests/s"
