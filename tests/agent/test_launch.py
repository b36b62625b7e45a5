"""What an app is given when it is launched."""

from __future__ import annotations

import os
import sys

import pytest

from turnout.agent.launch import search_path


def test_turnouts_own_environment_is_not_on_the_path_of_apps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/turnout")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    inherited = os.pathsep.join(["/opt/turnout/bin", "/usr/bin", "", "/bin"])
    assert search_path(inherited) == os.pathsep.join(["/usr/bin", "/bin"])


def test_a_turnout_outside_of_an_environment_hands_the_path_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert search_path("/usr/bin:/bin") == "/usr/bin:/bin"
