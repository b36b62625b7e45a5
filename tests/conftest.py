"""What every test gets: asyncio for async tests, and user directories of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Loaded CI machines make single examples slow; the number of examples stays.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> str:
    """Turnout runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_user_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep every test away from the user's configuration, caches, data and proxies."""
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / ".user" / name.lower()))
    for name in [*os.environ]:
        if name.startswith("TURNOUT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    yield
