"""What tells one installation from another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from turnout.base.installed import installed


def told_by(python: Path | str, source: Path) -> str:
    """Return what a process of that interpreter says of the Turnout in *source*."""
    done = subprocess.run(
        [str(python), "-c", "from turnout.base.installed import installed; print(installed())"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(source)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_same_installation_says_the_same() -> None:
    source = Path(installed()["package"]).parent
    assert told_by(sys.executable, source) == str(installed())


def test_another_environment_or_place_is_told_apart(tmp_path: Path) -> None:
    source = Path(installed()["package"]).parent
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    (tmp_path / "turnout").symlink_to(source / "turnout")
    said = {told_by(sys.executable, source), told_by(tmp_path / "v" / "bin" / "python", source)}
    said.add(told_by(sys.executable, tmp_path))
    assert len(said) == 3
