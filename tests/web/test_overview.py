"""The overview turns documents into rows: times as people say them, phases in their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from turnout.web import overview
from turnout.wire.api import DeploymentDocument, EnvironmentDocument

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def environment(**changes: Any) -> EnvironmentDocument:
    return EnvironmentDocument.model_validate(
        {
            "project": "shop",
            "environment": "staging",
            "live_release": "ab" * 32,
            "live_since": NOW - timedelta(hours=2),
            "url": "http://staging.shop.localhost:8080/",
            "health": "healthy",
            **changes,
        }
    )


def deployment(**changes: Any) -> DeploymentDocument:
    return DeploymentDocument.model_validate(
        {
            "id": "dep-1",
            "kind": "deployment",
            "project": "shop",
            "environment": "staging",
            "strategy": "blue-green",
            "release": "cd" * 32,
            "status": "running",
            "phase": "validation",
            "created_at": NOW - timedelta(seconds=12),
            "started_at": NOW - timedelta(seconds=10),
            "finished_at": None,
            "duration_s": None,
            "url": "http://x.localhost/",
            "release_url": "http://y.localhost/",
            "events_url": "",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (-5, "just now"),
        (2, "just now"),
        (12, "12 s ago"),
        (89, "89 s ago"),
        (90, "1 min ago"),
        (3600, "60 min ago"),
        (7200, "2 h ago"),
        (3 * 86400, "3 d ago"),
    ],
)
def test_moments(ago: float, text: str) -> None:
    assert overview.moment(NOW - timedelta(seconds=ago), NOW).text == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (1.25, "1.2 s"), (42, "42 s"), (185, "3 min 5 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    (row,) = overview.rows([deployment(duration_s=seconds)], NOW)
    assert row.took == text


def test_production_comes_first_and_projects_by_name() -> None:
    cards = overview.cards(
        [
            environment(),
            environment(environment="a-preview"),
            environment(environment="production"),
            environment(project="blog"),
        ],
        [],
        NOW,
    )
    assert [card.name for card in cards] == ["blog", "shop"]
    names = [row.name for row in cards[1].environments]
    assert names == ["production", "a-preview", "staging"]


def test_a_deployment_under_way_shows_its_phase() -> None:
    (card,) = overview.cards(
        [environment(deployment="dep-1", deployment_status="waiting")], [deployment()], NOW
    )
    way = card.environments[0].under_way
    assert way is not None
    assert (way.phase, way.place, way.of) == ("validation", 4, 7)
    assert (way.status, way.tone, way.release) == ("waiting", "wait", "cdcdcdcdcdcd")


def test_a_rollback_has_phases_of_its_own() -> None:
    (card,) = overview.cards(
        [environment(deployment="dep-1")], [deployment(kind="rollback", phase="execution")], NOW
    )
    way = card.environments[0].under_way
    assert way is not None and (way.kind, way.place, way.of) == ("rollback", 3, 4)


def test_a_deployment_that_is_not_in_the_list_is_shown_all_the_same() -> None:
    (card,) = overview.cards([environment(deployment="dep-2")], [], NOW)
    way = card.environments[0].under_way
    assert way is not None and way.id == "dep-2" and way.place == 0


def test_an_address_that_is_none_is_no_link() -> None:
    (card,) = overview.cards([environment(url="javascript:alert(1)")], [], NOW)
    assert card.environments[0].url == ""
