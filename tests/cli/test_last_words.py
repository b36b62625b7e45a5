"""The last words of an app that ended a deployment stand in what people read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli import documents
from turnout.cli.rendering import last_words, outcome
from turnout.wire.api import DeploymentDocument


def failed(facts: Any) -> DeploymentDocument:
    known = documents.deployment(status="failed", reason="not healthy")
    return DeploymentDocument.model_validate({**known, "problem": {"facts": facts}})


def test_the_log_follows_the_reason_without_control_characters() -> None:
    texts = [text for text, _ in outcome(failed({"log_tail": ["boom", "\x1b[31mred"]}))]
    at = texts.index("  not healthy")
    assert texts[at + 1 : at + 3] == ["  log | boom", "  log | \\x1b[31mred"]


@pytest.mark.parametrize("facts", [None, {}, {"log_tail": None}, {"log_tail": "x"}, []])
def test_without_a_log_nothing_is_said(facts: Any) -> None:
    assert list(last_words(failed(facts))) == []
