"""A real router on a free port, ended whatever happens."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.routers.upstream import Upstream, free_port
from turnout.routers.envoy import EnvoyRouter


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    path = Path(tempfile.mkdtemp(prefix="to-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def new_router(short_dir: Path, port: int) -> Callable[[], EnvoyRouter]:
    """Make router objects over one directory, as an agent does before and after a restart."""
    return lambda: EnvoyRouter(short_dir / "state", short_dir / "run", ("127.0.0.1", port))


@pytest.fixture
async def router(new_router: Callable[[], EnvoyRouter]) -> AsyncIterator[EnvoyRouter]:
    router = new_router()
    await router.start()
    yield router
    await router.stop()


@pytest.fixture
async def apps() -> AsyncIterator[tuple[Upstream, Upstream]]:
    old, new = await Upstream("old").start(), await Upstream("new").start()
    yield old, new
    await old.stop()
    await new.stop()
