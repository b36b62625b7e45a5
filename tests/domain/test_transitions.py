"""The states of a deployment: every end is an end, and only what is legal follows."""

from __future__ import annotations

import pytest

from turnout.base.errors import Conflict
from turnout.domain.transitions import ENDED, LEGAL, UNDER_WAY, Status, check_transition, diagram


@pytest.mark.parametrize("old", list(Status))
@pytest.mark.parametrize("new", list(Status))
def test_only_the_legal_follow(old: Status, new: Status) -> None:
    if new is old or new in LEGAL[old]:
        check_transition("dep-1", old, new)
    else:
        with pytest.raises(Conflict, match="cannot become"):
            check_transition("dep-1", old, new)


def test_every_state_is_reached_and_every_way_ends() -> None:
    reached, frontier = {Status.QUEUED}, {Status.QUEUED}
    while frontier:
        frontier = {new for old in frontier for new in LEGAL[old]} - reached
        reached |= frontier
    assert reached == set(Status)
    assert {Status.QUEUED} | UNDER_WAY | ENDED == set(Status)
    for status in Status:
        assert status.ended or LEGAL[status] & ENDED


def test_the_diagram_has_every_state() -> None:
    text = diagram()
    for status in Status:
        assert f"--> {status}\n" in text
