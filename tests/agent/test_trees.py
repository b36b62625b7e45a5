"""Static roots and bridged assets of an agent without processes: which roots are looked through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.packages.workbench import SCOPE, Workbench
from turnout.agent.paths import Layout
from turnout.agent.trees import Trees
from turnout.packages import variants
from turnout.packages.bridging import Bridged
from turnout.packages.walking import list_files
from turnout.wire import agent as wire
from turnout.wire.project import StaticSpec

pytestmark = pytest.mark.anyio
FIRST, SECOND = "assets/app-4f3a9b1c.js", "assets/app-9d8e7f6a.js"
PAGE = b"<h1>page</h1>" * 200


class House:
    """Releases of a workbench's host, laid out as sites."""

    def __init__(self, root: Path) -> None:
        self.bench = Workbench(root)
        self.layout = Layout(root / "data", root / "run")
        self.layout.make()
        self.trees = Trees(self.layout, self.bench.host)
        self.revisions = 0

    async def site(self, name: str, files: dict[str, bytes]) -> str:
        """Hold a release and make its root; return the release."""
        release = self.bench.release(name, files)
        self.bench.receive(self.bench.seal(release))
        self.revisions += 1
        await self.trees.site(
            wire.SiteWanted(
                scope=SCOPE,
                revision=f"{self.revisions:016x}",
                release=release,
                static=StaticSpec(),
            )
        )
        return release

    async def bridge(self, *releases: str) -> set[str]:
        """Bridge the assets of *releases*; return the scripts that are reachable."""
        await self.trees.bridge(wire.BridgeWanted(scope=SCOPE, releases=releases))
        found = list_files(self.layout.bridge(SCOPE))
        return {path for path in found if path.endswith(".js")}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_second_site_takes_over_what_did_not_change(house: House) -> None:
    await house.site("one", {"index.html": PAGE, "same.html": PAGE + b"same"})
    await house.site("two", {"index.html": PAGE + b"new", "same.html": PAGE + b"same"})
    one, two = (house.layout.site(SCOPE, f"{number:016x}") for number in (1, 2))
    assert (one / "same.html.br").stat().st_ino == (two / "same.html.br").stat().st_ino
    assert (one / "index.html.br").read_bytes() != (two / "index.html.br").read_bytes()


async def test_only_roots_that_add_an_asset_are_looked_through(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await house.site("old", {"index.html": PAGE, FIRST: b"1" * 2000})
    middle = await house.site("middle", {"index.html": PAGE + b"2", SECOND: b"2" * 2000})
    new = await house.site("new", {"index.html": PAGE + b"3", SECOND: b"2" * 2000})
    looked: list[Sequence[Path]] = []
    bridge = variants.bridge

    def noting(destination: Path, sources: Sequence[Path]) -> Bridged:
        looked.append(sources)
        return bridge(destination, sources)

    monkeypatch.setattr(variants, "bridge", noting)
    assert await house.bridge(new, middle, old) == {FIRST, SECOND}
    assert [root.name for root in looked[0]] == [f"{3:016x}", f"{1:016x}"]
    assert await house.bridge(new, middle) == {SECOND}


async def test_an_asset_that_became_a_link_still_comes_from_the_release_before(
    house: House,
) -> None:
    old = await house.site("old", {"index.html": PAGE, FIRST: b"1" * 2000})
    directory = house.bench.write("new", {"index.html": PAGE, "app.js": b"2" * 2000})
    (directory / "assets").mkdir()
    (directory / FIRST).symlink_to("../app.js")
    new = await house.site("new", {})
    assert await house.bridge(new, old) == {FIRST}


async def test_releases_without_assets_bridge_nothing(house: House) -> None:
    one = await house.site("one", {"index.html": PAGE})
    two = await house.site("two", {"index.html": PAGE + b"2"})
    assert await house.bridge(two, one) == set()


async def test_a_wait_for_quiet_that_is_cancelled_ends(house: House) -> None:
    async def wait() -> None:
        async with house.trees.exclusive(60.0):
            raise AssertionError("somebody is still busy")

    async with house.trees.busy():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    # It lets others go on.
    async with asyncio.timeout(5), house.trees.busy():
        pass
