"""The versions that the demo makes differ in what the show needs, and in nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import versions
from demo.cli import DemoError
from tests.examples.test_apps import App, running


def pages(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_second_site_has_other_assets_and_refers_to_them(tmp_path: Path) -> None:
    project = versions.site(tmp_path)
    first, second = (pages(project.versions[name] / "site") for name in ("v1", "v2"))
    index = second["index.html"].decode()
    assert "Version 2" in index
    assert project.asset.lstrip("/") in first
    assert project.asset.lstrip("/") not in second
    for name in second:
        if name.startswith("assets/app."):
            assert f"/{name}" in index
            code = second[name].decode()
    notes = next(name for name in second if name.startswith("assets/notes."))
    assert f"/{notes}" in code


@pytest.fixture(params=["node", "python"])
def app(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[App]:
    """The fourth version, running."""
    if request.param == "python":
        monkeypatch.setattr(versions.shutil, "which", lambda name: None)
        command = [sys.executable, "app.py"]
    else:
        assert shutil.which("node"), "node is needed for this test"
        command = ["node", "server.js"]
    (tmp_path / "work").mkdir()
    directory = versions.app(tmp_path / "work").versions["v4"]
    with running(command, directory, version="4") as found:
        yield found


def test_the_fourth_app_is_well_until_it_has_visitors(app: App) -> None:
    for _ in range(3):
        assert app.get("/healthz")[0] == 200
    assert app.get("/")[0] == 200
    assert app.get("/healthz")[0] == 200
    ends = time.monotonic() + 5
    while app.get("/healthz")[0] != 500:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert app.get("/")[0] == 200


def test_the_third_app_is_never_well(tmp_path: Path) -> None:
    directory = versions.app(tmp_path).versions["v3"]
    with running(["node", "server.js"], directory, version="3") as found:
        assert found.get("/healthz")[0] == 500


def own(directory: Path, config: str) -> Path:
    directory.mkdir()
    (directory / "turnout.toml").write_text(config)
    (directory / "index.html").write_text("mine")
    return directory


def test_a_project_of_ones_own_is_only_read(tmp_path: Path) -> None:
    source = own(tmp_path / "mine", 'project = "mine"\n[static]\nspa = true\n')
    before = pages(source)
    project = versions.own(source, tmp_path / "work")
    assert pages(source) == before
    assert project.name == "mine"
    assert (project.versions["v2"] / versions.MARKER).is_file()
    third = tomllib.loads((project.versions["v3"] / "turnout.toml").read_text())
    assert third["health"]["expect"] == 418


def test_a_project_of_ones_own_is_built_once(tmp_path: Path) -> None:
    code = "import pathlib; pathlib.Path('out').mkdir(); pathlib.Path('out/a').write_text('x')"
    source = own(
        tmp_path / "mine",
        f'project = "mine"\n[build]\ncommand = ["{sys.executable}", "-c", "{code}"]\n'
        'output = "out"\n[environments.production.health]\npath = "/a"\n',
    )
    project = versions.own(source, tmp_path / "work")
    for name, directory in project.versions.items():
        config = tomllib.loads((directory / "turnout.toml").read_text())
        assert "command" not in config["build"]
        assert (directory / "out" / "a").is_file()
        assert (directory / "out" / versions.MARKER).is_file() == (name != "v1")
    assert config["environments"]["production"]["health"]["expect"] == 418


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "turnout.toml is missing"),
        ("project = ", "cannot be read"),
        ("[static]\n", "cannot be read"),
        ('project = "x"\n[build]\ncommand = ["false"]\n', "build of x failed"),
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path: Path, config: str | None, said: str) -> None:
    source = tmp_path / "mine"
    if config is None:
        source.mkdir()
    else:
        own(source, config)
    with pytest.raises(DemoError, match=said):
        versions.own(source, tmp_path / "work")


def test_the_demo_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "demo", str(tmp_path)],
        cwd=versions.EXAMPLES.parent,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 1
    assert "turnout init" in found.stderr
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.glob("turnout-demo-*"))
