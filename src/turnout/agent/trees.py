"""Trees on a host: static roots that the origin serves, and private copies that apps run in.

Each is made beside its place and renamed into it, so that what stands there is whole.  Static
roots are hard links, for nobody writes to them; an app can write, so it gets a copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from turnout.agent import dressing, records
from turnout.agent.dressing import Before
from turnout.agent.paths import UNFINISHED, Layout, revisions, scopes
from turnout.agent.uses import Uses
from turnout.base.errors import NotFound
from turnout.base.failpoints import hit, reached
from turnout.packages import variants
from turnout.packages.assets import is_bridged
from turnout.packages.disk import TEMPORARY, explained, remove_tree, sync_tree
from turnout.packages.hosting import HostReleases
from turnout.wire import agent as wire


class Trees:
    """Every tree of this agent that is not a release itself."""

    def __init__(self, layout: Layout, releases: HostReleases) -> None:
        self._layout = layout
        self._releases = releases
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.uses = Uses()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = asyncio.Event()
        self._open.set()

    async def site(self, wanted: wire.SiteWanted) -> None:
        """Make the static root of a revision exist.

        Raises:
            NotFound: The release is not on this host.
        """
        root = self._layout.site(wanted.scope, wanted.revision)
        async with self._locks[root], self.busy(), self.uses.reading([wanted.release]):
            await reached("agent.site.before")
            previous = self._newest_site(wanted)
            # The record comes first: a root without one would be unknown to every report.
            records.write(self._layout.site_record(wanted.scope, wanted.revision), wanted)
            if not root.is_dir():
                self._check_held(wanted.release)

                def build(place: Path) -> None:
                    self._releases.link_tree(wanted.release, place)
                    hit("agent.site.inside")
                    dressing.dress(place, self._digests(wanted.release), self._before(previous))
                    # What stands in its place is taken for whole, also after a power cut.
                    sync_tree(place)

                await self._make(root, build)
            await reached("agent.site.after")

    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        """Make the hashed assets of some releases, and of no others, reachable in a scope."""
        root = self._layout.bridge(wanted.scope)
        async with self._locks[root], self.busy(), self.uses.reading(wanted.releases):
            await reached("agent.bridge.before")
            await asyncio.to_thread(self._bridge, wanted, root)
            await reached("agent.bridge.after")

    async def app(self, scope: str, revision: str, release: str) -> Path:
        """Return the private copy of a release that the instances of a revision run in.

        Raises:
            NotFound: The release is not on this host.
        """
        root = self._layout.app(scope, revision)
        async with self._locks[root]:
            await self.copy(release, root)
        return root

    async def copy(self, release: str, root: Path) -> None:
        """Make a private copy of a release at *root*, unless there is one.

        Raises:
            NotFound: The release is not on this host.
        """
        async with self.busy(), self.uses.reading([release]):
            if not root.is_dir():
                self._check_held(release)

                def build(place: Path) -> None:
                    self._releases.copy_tree(release, place)

                await self._make(root, build)

    def sites(self) -> list[wire.SiteWanted]:
        """Return every static root there is."""
        found = []
        for scope in scopes(self._layout.sites):
            for revision in revisions(self._layout.sites, scope):
                path = self._layout.site_record(scope, revision)
                record = records.read_as(path, wire.SiteWanted)
                if record is not None:
                    found.append(record)
        return found

    def has_site(self, scope: str, revision: str) -> bool:
        """Return whether the static root of a revision exists."""
        return self._layout.site(scope, revision).is_dir()

    async def remove_site(self, scope: str, revision: str) -> None:
        """Remove the static root of a revision, if there is one."""
        root = self._layout.site(scope, revision)
        async with self._locks[root]:
            await self._discard(root)
            records.remove(self._layout.site_record(scope, revision))

    async def remove_app(self, scope: str, revision: str) -> None:
        """Remove the private copy of a revision, if there is one."""
        root = self._layout.app(scope, revision)
        async with self._locks[root]:
            await self._discard(root)
            records.remove_empty(root.parent, levels=2)

    async def remove_bridge(self, scope: str) -> None:
        """Remove the bridged assets of a scope."""
        root = self._layout.bridge(scope)
        async with self._locks[root]:
            await self._discard(root)
            records.remove_empty(root.parent, levels=2)

    def sweep(self) -> None:
        """Remove what a crash left half-made; called before anything else runs."""
        for area in (self._layout.sites, self._layout.apps):
            for scope in scopes(area):
                for entry in records.entries(area / scope):
                    if entry.name.startswith((UNFINISHED, TEMPORARY)):
                        remove_tree(entry)
                    elif entry.suffix == ".json" and not entry.with_suffix("").is_dir():
                        entry.unlink()
                records.remove_empty(area / scope, levels=2)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Hold off the removal of releases while one is received or read from."""
        await self._open.wait()
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    @asynccontextmanager
    async def exclusive(self, patience: float) -> AsyncIterator[bool]:
        """Hold off new uses of releases and wait *patience* seconds for those under way to end.

        Yields:
            Whether they ended.
        """
        self._open.clear()
        try:
            try:
                # Not wait_for, which before Python 3.12 can swallow a cancellation.
                async with asyncio.timeout(patience):
                    await self._idle.wait()
                quiet = True
            except TimeoutError:
                quiet = False
            yield quiet
        finally:
            self._open.set()

    def _check_held(self, release: str) -> None:
        if release not in self._releases.held():
            raise NotFound(
                "The release is not on this host",
                subject=release,
                next_step="Stage it first.",
            )

    def _digests(self, release: str) -> dict[str, str]:
        entries = self._releases.manifest(release).entries
        return {entry.path: entry.digest for entry in entries if entry.kind == "file"}

    def _bridge(self, wanted: wire.BridgeWanted, root: Path) -> None:
        """Bridge from dressed roots where they are, from the releases' own trees otherwise.

        A host that never held a release has no visitor with a tab of it, so it is left out.
        """
        with explained("Assets of earlier releases cannot be linked", wanted.scope):
            root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = {release: self._releases.tree(release) for release in self._releases.held()}
        dressed = {
            site.release: self._layout.site(wanted.scope, site.revision)
            for site in self.sites()
            if site.scope == wanted.scope
        }
        sources = held | dressed
        hit("agent.bridge.inside")
        variants.bridge(root, [sources[r] for r in self._adding(wanted.releases, sources)])

    def _adding(self, releases: Sequence[str], sources: Collection[str]) -> Iterator[str]:
        """Yield those of *releases*, newest first, that have assets which no newer one has.

        The others would add nothing, and to look through a root takes long.
        """
        judged: dict[str, bool] = {}
        there: set[str] = set()
        for release in releases:
            if release not in sources:
                continue
            assets = self._assets(release, judged)
            if assets is None or not assets <= there:
                there |= assets or set()
                yield release

    def _assets(self, release: str, judged: dict[str, bool]) -> set[str] | None:
        """Return the paths of a release that are bridged; None if its manifest is not here.

        Args:
            judged: What was found out of paths so far; releases share most of them.
        """
        try:
            paths = self._digests(release).keys()
        except (NotFound, FileNotFoundError):
            return None
        for path in paths:
            if path not in judged:
                judged[path] = is_bridged(path)
        return {path for path in paths if judged[path]}

    async def _make(self, root: Path, build: Callable[[Path], None]) -> None:
        place = _beside(root)

        def make() -> None:
            with explained("A release cannot be laid out", root):
                root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    build(place)
                    place.rename(root)
                except BaseException:
                    remove_tree(place)
                    raise

        await asyncio.to_thread(make)

    async def _discard(self, root: Path) -> None:
        """Remove a tree: renamed first, so that it is whole or gone."""
        place = _beside(root)
        try:
            root.rename(place)
        except FileNotFoundError:
            return
        await asyncio.to_thread(remove_tree, place)

    def _newest_site(self, wanted: wire.SiteWanted) -> wire.SiteWanted | None:
        """Return the site of the same scope whose root was made last, but not *wanted*'s own."""
        made: dict[float, wire.SiteWanted] = {}
        for site in self.sites():
            if site.scope == wanted.scope and site.revision != wanted.revision:
                with contextlib.suppress(FileNotFoundError):
                    root = self._layout.site(site.scope, site.revision)
                    made[root.stat().st_mtime] = site
        return made[max(made)] if made else None

    def _before(self, site: wire.SiteWanted | None) -> Before | None:
        if site is None:
            return None
        root = self._layout.site(site.scope, site.revision)
        try:
            return Before(root, self._digests(site.release))
        except (NotFound, FileNotFoundError):
            return Before(root, None)


def _beside(root: Path) -> Path:
    return root.parent / f"{UNFINISHED}{root.name}-{secrets.token_hex(4)}"
