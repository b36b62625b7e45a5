"""The server is killed before, inside and after every step and every undo, and started again.

The end must equal that of a run that nobody disturbed.  The points are enumerated from what the
undisturbed run did, so new steps are covered without anyone remembering.  (The same with the
real agent, router and apps under load stands in ``tests/chaos``.)
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator import crashing

SCENARIOS = ["app", "bad app", "rollback of an app", "drill of an app", "bad site"]


def _run(directory: Path, scenario: str, task: str, failpoint: str = "") -> int | None:
    (directory / "failpoints").write_text(f"{failpoint}=kill\n")
    # A server that has imported everything and is forked: hundreds of starts, one import.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.coordinator.crashing"])
    process = context.Process(
        target=crashing.child, args=(directory, scenario, task, directory / "log")
    )
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
    return process.exitcode


def _picture(directory: Path, code: int | None) -> dict[str, Any]:
    assert code == 0, (directory / "log").read_text()[-4000:]
    found: dict[str, Any] = json.loads((directory / "picture.json").read_text())
    # A seal that was cut off leaves its package to the next prune of the store.
    found.pop("packages")
    return found


def _points(picture: dict[str, Any], scenario: str) -> list[str]:
    """Return the failpoints that the undisturbed run went through."""
    found = []
    for position, (action, status) in enumerate(picture["steps"]):
        if status == "pending":
            continue
        for moment in ("before", "inside", "after"):
            if not (status == "failed" and moment != "before"):
                found.append(f"server.step.{position}-{action}.{moment}")
    undone = {
        "seal": "discard",
        "stage": "unstage",
        "start": "stop",
        "build-site": "stop",
        "expose": "conceal",
        "bridge": "bridge",
        "switch": "switch-back",
    }
    for position, (action, status) in enumerate(picture["steps"]):
        if status == "undone":
            for moment in ("before", "inside", "after"):
                found.append(f"server.undo.{position}-{undone[action]}.{moment}")
    return found


@pytest.fixture(scope="module", params=SCENARIOS)
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, Any]]:
    """Return a scenario, a directory prepared for it, and how it ends."""
    scenario: str = request.param
    prepared = tmp_path_factory.mktemp("prepared")
    assert _run(prepared, scenario, "prepare") == 0, (prepared / "log").read_text()
    calm = tmp_path_factory.mktemp("calm")
    shutil.copytree(prepared, calm, dirs_exist_ok=True)
    return scenario, prepared, _picture(calm, _run(calm, scenario, "act"))


@pytest.mark.real
@pytest.mark.timeout(1500)
def test_a_kill_anywhere_changes_nothing_in_the_end(
    undisturbed: tuple[str, Path, dict[str, Any]], tmp_path: Path
) -> None:
    scenario, prepared, expected = undisturbed
    assert expected["status"] == ("rolled_back" if "bad" in scenario else "succeeded")
    points = _points(expected, scenario)
    assert len(points) > 20
    wrong = {}
    for number, point in enumerate(points):
        place = tmp_path / str(number)
        shutil.copytree(prepared, place)
        killed = _run(place, scenario, "act", point)
        assert killed == -signal.SIGKILL, (point, killed, (place / "log").read_text()[-2000:])
        found = _picture(place, _run(place, scenario, "act"))
        if found != expected:
            wrong[point] = {key: found[key] for key in found if found[key] != expected[key]}
        shutil.rmtree(place)
    assert wrong == {}
