"""Durations, sizes and percentages: what is read, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.cli.values import duration, percent, show_bytes, show_duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("300ms", 0.3), ("1s", 1), ("2m", 120), ("1.5h", 5400), ("7d", 604800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("1B", 1), ("256MB", 256_000_000), ("256MiB", 256 << 20), ("1.5kB", 1500), ("2GiB", 2 << 30)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("20%", 0.2), ("100%", 1)])
def test_percentages(text: str, share: float) -> None:
    assert percent(text) == share


@pytest.mark.parametrize("read", [duration, size, percent])
@pytest.mark.parametrize(
    "text", ["", "1", "s", "-1s", "1 s", "1s\n", "١s", "1e3s", "9" * 99 + "s", "infs", 1, None, []]
)
def test_refused(read: object, text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(text)  # type: ignore[operator]


@given(
    st.integers(0, 10**9 - 1), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)])
)
def test_every_whole_duration(number: int, unit: tuple[str, float]) -> None:
    assert math.isclose(duration(f"{number}{unit[0]}"), number * unit[1], abs_tol=1e-6)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (duration, size, percent):
        try:
            assert read(text) >= 0
        except ValueError as error:
            assert "must be" in str(error)


@given(st.floats(0, 10**7))
def test_shown_durations_are_short(seconds: float) -> None:
    assert len(show_duration(seconds)) <= 12


def test_shown() -> None:
    assert [show_duration(s) for s in (0.85, 4.2, 185, 7800)] == [
        "850 ms",
        "4.2 s",
        "3 m 05 s",
        "2 h 10 m",
    ]
    assert [show_bytes(b) for b in (0, 1234, 5_000_000)] == ["0 B", "1.2 kB", "5.0 MB"]
