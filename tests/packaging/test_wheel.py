"""The wheel: it holds all of the package, and is enough for a working `turnout`."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("TURNOUT_", "PYTHON"))}
"""As it was before the fixtures took the user's caches and proxies away, which pip needs."""

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def run(*argv: str | Path, cwd: Path = ROOT) -> str:
    found = subprocess.run(
        [str(part) for part in argv],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out)
    (found,) = out.glob("turnout-*.whl")
    return found


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "turnout").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert held == wanted
    assert licences


def test_it_is_enough_for_a_working_turnout(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt")
    run(*pip, "--no-deps", wheel)
    run(python, "-m", "pip", "check")
    # Every module, so that a package that only developers have would be missed here.
    everything = (
        "import importlib, pkgutil, turnout\n"
        "for found in pkgutil.walk_packages(turnout.__path__, 'turnout.'):\n"
        "    if not found.name.endswith('__main__') and '.migrations.' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
        "print(turnout.__version__)"
    )
    version = run(python, "-c", everything, cwd=tmp_path).strip()
    assert version in wheel.name
    assert "deploy" in run(python.with_name("turnout"), "--help", cwd=tmp_path)
