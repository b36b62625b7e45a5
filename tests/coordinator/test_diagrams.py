"""The documented diagrams are the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from turnout.coordinator.diagrams import filled
from turnout.coordinator.waits import MEANINGS, WAYS_OUT
from turnout.wire.api import WaitingFor

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_document_is_what_the_code_says() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count("```mermaid") == 4
    assert "| `frozen` |" in text
    assert filled(text) == text, "run: python -m turnout.coordinator.diagrams docs/states.md"


def test_every_wait_has_ways_out_and_a_meaning() -> None:
    kinds = get_args(WaitingFor.model_fields["kind"].annotation)
    assert set(WAYS_OUT) == set(MEANINGS) == set(kinds)
    assert all("abort" in ways for ways in WAYS_OUT.values())
