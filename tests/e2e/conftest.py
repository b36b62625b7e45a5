"""One real server for the end-to-end tests of a module, and packages that others made."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stand.stand import Stand

SITES = {"swagger-ui-dist": "5.30.3", "monaco-editor": "0.54.0", "mathjax": "4.0.0"}
APP = {"express": "5.1.0", "ws": "8.18.3"}
"""Pinned, so that a test that passes today passes tomorrow."""


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand() as found:
        found.start()
        yield found


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ``node_modules`` that npm made of :data:`SITES` and :data:`APP`."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    place = tmp_path_factory.mktemp("npm")
    manifest = {"name": "packages", "private": True, "dependencies": SITES | APP}
    (place / "package.json").write_text(json.dumps(manifest))
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=place, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "node_modules"
