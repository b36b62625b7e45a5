"""Numbers, shares and times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from turnout.web import words

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (8103.1, "8,103"),
        (-2.5, "\N{MINUS SIGN}2.5"),
        (51_234_567, "5.1 · 10⁷"),
        (0.0021, "2.1 · 10⁻³"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.00005, "under 0.01 %"),
        (0.00298, "0.298 %"),
        (0.01, "1 %"),
        (0.5, "50 %"),
        (1, "100 %"),
    ],
)
def test_shares(share: float, text: str) -> None:
    assert words.percent(share) == text


def test_times_to_come() -> None:
    assert words.moment(NOW + timedelta(minutes=4), NOW).text == "in 4 min"
    assert words.moment(NOW + timedelta(seconds=3), NOW).text == "just now"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "", "//evil.example/"])
def test_only_web_addresses_are_links(url: str) -> None:
    assert words.web_address(url) == ""


def test_a_word_that_nobody_knows_has_a_tone() -> None:
    assert words.tone("something-new") == "idle"
