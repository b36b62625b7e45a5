"""The judge's state: it survives a restart at any time, and doubts no less for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.analysis.analysed import ERRORS, minutes, told
from turnout.base.errors import InvalidInput
from turnout.monitoring import analysis
from turnout.monitoring.analysis import ArmCounts, Policy, Tick

BOUNDS = (100.0, 144.0, 207.36, 298.6)
ARMS = st.lists(st.integers(0, 40), min_size=5, max_size=5).flatmap(
    lambda parts: st.builds(
        lambda errors: ArmCounts(
            sum(parts),
            min(errors, sum(parts)),
            sum(parts),
            tuple((bound, sum(parts[: i + 1])) for i, bound in enumerate(BOUNDS)),
        ),
        st.integers(0, 20),
    )
)
TICKS = st.lists(st.tuples(st.floats(0.5, 90), ARMS, ARMS), min_size=1, max_size=25)


def _ticks(drawn: list[tuple[float, ArmCounts, ArmCounts]]) -> list[Tick]:
    at, found = 0.0, []
    for seconds, ours, theirs in drawn:
        at += seconds
        found.append(Tick(at, ours, theirs, 0.5))
    return found


@given(drawn=TICKS, place=st.integers(0, 25))
def test_a_restart_changes_nothing(
    drawn: list[tuple[float, ArmCounts, ArmCounts]], place: int
) -> None:
    ticks = _ticks(drawn)
    state = told(Policy(), ticks[:place])
    restored = analysis.state_from_json(json.loads(json.dumps(analysis.state_to_json(state))))
    for tick in ticks[place:]:
        state, restored = analysis.observe(state, tick), analysis.observe(restored, tick)
    assert restored == state
    assert analysis.verdict(restored) == analysis.verdict(state)


@given(drawn=TICKS)
def test_nothing_is_bad_without_suspicion(
    drawn: list[tuple[float, ArmCounts, ArmCounts]],
) -> None:
    state = told(Policy(), _ticks(drawn))
    found = analysis.verdict(state)
    assert found.verdict != "bad" or analysis.suspicion(state) >= 0
    assert found.evidence["log_e"] <= max(
        m["log_e_plain"] for m in found.metrics.values()
    ) + 1e-9 or found.evidence["log_e"] == pytest.approx(0)


def test_the_guarded_evidence_stands_beside_the_plain() -> None:
    evidence = analysis.verdict(told(ERRORS, minutes([(9, 3)] * 3))).metrics["error_rate"]
    assert 0 < evidence["log_e"] < evidence["log_e_plain"]


def test_a_state_of_another_version_is_refused() -> None:
    document = analysis.state_to_json(analysis.start(ERRORS)) | {"version": 1}
    with pytest.raises(InvalidInput):
        analysis.state_from_json(document)
