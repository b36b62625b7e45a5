"""The import contracts: each of them notices when it is broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

BREACHES = {
    "Arrows point down": ("keys", "import turnout.packages"),
    "The agent and the command line carry no server code": ("agent", "import sqlalchemy"),
    "Decisions are pure: no I/O, no clock, no randomness": ("strategies", "import time"),
    "The durable engine has one home": ("coordinator", "import dbos"),
    "Cryptography has one home": ("packages", "import cryptography"),
    "The web framework lives at the HTTP doors": ("coordinator", "import fastapi"),
    "Only what serves HTTP knows how to serve it": ("cli", "import starlette"),
    "The terminal lives in the command line": ("monitoring", "import rich"),
    "Only the agent drives routers": ("coordinator", "import turnout.routers"),
}


def broken(tree: Path) -> tuple[set[str], str]:
    """The names of the contracts that are broken in a copy of the sources."""
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return set(re.findall(r"^(.+?) BROKEN", found.stdout, re.MULTILINE)), found.stdout


def test_every_contract_has_a_breach_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {c["name"] for c in project["tool"]["importlinter"]["contracts"]} == set(BREACHES)


def test_the_sources_keep_them_and_breaches_are_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    names, said = broken(tmp_path)
    assert "0 broken" in said, said
    for room, line in BREACHES.values():
        with (tmp_path / "src" / "turnout" / room / "breach.py").open("a") as breach:
            breach.write(f"{line}\n")
    names, said = broken(tmp_path)
    assert names == set(BREACHES), said
