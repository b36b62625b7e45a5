"""A change counts only when Envoy says so, and is taken back when it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.routers.sites import NEW, OLD, SCOPE, backend, site
from turnout.base.errors import Failed, Unreachable
from turnout.routers import envoy_changes
from turnout.routers.envoy import EnvoyRouter

pytestmark = pytest.mark.anyio

CDS, RDS = "cluster_manager.cds", "http.http.rds.routes"


class Admin:
    """Envoy's admin interface as a slow or unwilling Envoy would answer it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.lag = 0
        self.answer: Callable[[], None] = lambda: None
        self.active = {"clusters": "", "routes": ""}
        self.warming = 0
        self.rejected = 0
        self.seen: list[tuple[list[str], list[str]]] = []
        self._waited = 0

    async def stats(self, pattern: str) -> dict[str, Any]:
        self.answer()
        wanted = {name: self._document(name)["version_info"] for name in self.active}
        if wanted != self.active:
            self._waited += 1
            if self._waited > self.lag:
                self._waited = 0
                self.active = wanted
                self.seen.append(self._state())
        return {
            f"{CDS}.version_text": self.active["clusters"],
            f"{RDS}.version_text": self.active["routes"],
            f"{CDS}.update_rejected": self.rejected,
            f"{RDS}.update_rejected": 0,
            "cluster_manager.warming_clusters": self.warming,
        }

    def _document(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state_dir / f"{name}.json").read_bytes())
        return document

    def _state(self) -> tuple[list[str], list[str]]:
        """Return the clusters that exist and those that the live route leads to."""
        clusters = [entry["name"][-16:] for entry in self._document("clusters")["resources"]]
        [config] = self._document("routes")["resources"]
        live = next((h for h in config["virtual_hosts"] if h["name"] == SCOPE), None)
        route = live["routes"][-1]["route"] if live else {"weighted_clusters": {"clusters": []}}
        used = [target["name"][-16:] for target in route["weighted_clusters"]["clusters"]]
        return sorted(clusters), sorted(used)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def admin(state: Path) -> Admin:
    return Admin(state)


@pytest.fixture
def router(state: Path, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> EnvoyRouter:
    router = EnvoyRouter(state, Path("/tmp/unused"), ("127.0.0.1", 1))
    monkeypatch.setattr(router._changes, "admin", admin)
    monkeypatch.setattr(router._process, "running", lambda: True)
    monkeypatch.setattr(envoy_changes, "ACKNOWLEDGE_TIMEOUT_S", 0.2)
    router._changes.restore()
    return router


def old_and_new() -> tuple[Any, Any]:
    return site(backend(OLD, "127.0.0.1:1")), site(backend(NEW, "127.0.0.1:2"))


async def test_clusters_come_before_the_routes_and_go_after_them(
    router: EnvoyRouter, admin: Admin
) -> None:
    old, new = old_and_new()
    await router.apply([old])
    admin.seen.clear()
    admin.lag = 3
    await router.apply([new])
    assert admin.seen == [([OLD, NEW], [OLD]), ([OLD, NEW], [NEW]), ([NEW], [NEW])]


async def test_it_waits_for_every_cluster_to_be_warm(router: EnvoyRouter, admin: Admin) -> None:
    old, new = old_and_new()
    await router.apply([old])
    admin.seen.clear()
    admin.warming = 1
    change = asyncio.create_task(router.apply([new]))
    await asyncio.sleep(0.05)
    assert not change.done()
    assert admin.seen == [([OLD, NEW], [OLD])]
    admin.warming = 0
    await change


async def test_silence_is_a_failure_and_the_old_state_comes_back(
    router: EnvoyRouter, admin: Admin, state: Path
) -> None:
    old, new = old_and_new()
    applied = await router.apply([old])
    before = (state / "clusters.json").read_bytes(), (state / "routes.json").read_bytes()
    admin.lag = 10_000
    with pytest.raises(Failed, match="in time"):
        await router.apply([new])
    assert ((state / "clusters.json").read_bytes(), (state / "routes.json").read_bytes()) == before
    admin.lag = 0
    assert (await router.apply([old])).version == applied.version


async def test_a_process_that_dies_meanwhile_leaves_the_old_state_for_its_successor(
    router: EnvoyRouter, admin: Admin, state: Path
) -> None:
    old, new = old_and_new()
    await router.apply([old])
    before = (state / "routes.json").read_bytes()
    calls = iter(range(100))

    def die() -> None:
        if next(calls) == 3:
            raise Unreachable("gone")

    admin.answer = die
    with pytest.raises(Failed, match="gone"):
        await router.apply([new])
    assert (state / "routes.json").read_bytes() == before


async def test_a_caller_that_goes_away_leaves_the_old_state(
    router: EnvoyRouter, admin: Admin, state: Path
) -> None:
    old, new = old_and_new()
    await router.apply([old])
    before = (state / "clusters.json").read_bytes()
    admin.lag = 10_000
    change = asyncio.create_task(router.apply([new]))
    await asyncio.sleep(0.02)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert (state / "clusters.json").read_bytes() == before


async def test_nothing_is_written_when_nothing_changes(
    router: EnvoyRouter, admin: Admin, state: Path
) -> None:
    old, _ = old_and_new()
    await router.apply([old])
    inodes = [(state / f"{name}.json").stat().st_ino for name in admin.active]
    await router.apply([old])
    assert [(state / f"{name}.json").stat().st_ino for name in admin.active] == inodes
