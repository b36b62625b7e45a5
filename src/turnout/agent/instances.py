"""Instances of server apps: what is wanted stands on disk, and is made so again and again.

An instance directory holds its record (what is wanted, and how the keeper runs it), the
keeper's lock and status, and the app's private home.  A record means that the instance must
run, until a ``gone`` file beside it says that it must not; so a crash at any moment leaves
something that :meth:`Instances.repair` or :meth:`Instances.finish_removals` completes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import structlog

from turnout.agent import cgroups, keepers, ports, records, strays
from turnout.agent.instance import Admission, Instance, admit, read
from turnout.agent.launch import Record, keeper_spec, key_of
from turnout.agent.paths import UNFINISHED, Layout, revisions, scopes
from turnout.agent.trees import Trees
from turnout.base.errors import Conflict, TurnoutError
from turnout.base.failpoints import reached
from turnout.packages.disk import remove_tree
from turnout.wire import agent as wire

_log = structlog.get_logger()


async def _nobody() -> None:
    """Tell no router."""


class Instances:
    """Every instance of this agent.

    Args:
        layout: Where it keeps what.
        trees: Where the copies of releases come from that instances run in.
        cgroup: The delegated control group, if there is one.
        tell_router: Makes the router obey what stands on disk, and returns when it does.
    """

    def __init__(
        self,
        layout: Layout,
        trees: Trees,
        cgroup: Path | None = None,
        tell_router: Callable[[], Awaitable[object]] = _nobody,
    ) -> None:
        self._layout = layout
        self._trees = trees
        self._cgroup = cgroup
        self._tell_router = tell_router
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._choosing = asyncio.Lock()
        self._ensuring: Counter[tuple[str, str]] = Counter()

    def all(self) -> Iterator[Instance]:
        """Yield every wanted instance of every scope."""
        for scope in scopes(self._layout.instances):
            for revision in revisions(self._layout.instances, scope):
                yield from self.of(scope, revision)

    def of(self, scope: str, revision: str) -> list[Instance]:
        """Return the wanted instances of a revision, by index."""
        found = [read(directory) for directory in self._directories(scope, revision)]
        return sorted((i for i in found if i is not None), key=lambda i: i.record.wanted.index)

    def one(self, scope: str, revision: str, index: int) -> Instance | None:
        """Return one wanted instance, or None if it is not wanted."""
        return read(self._layout.instance(scope, revision, index))

    async def ensure(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        """Make an instance run; return when its process was launched.

        The same request again changes nothing but that an instance that drains gets requests
        again; another specification replaces what runs.  What was launched afresh gets requests
        from the next :meth:`set_admission` on.

        Raises:
            NotFound: The release is not on this host.
            Failed: It cannot be launched.
        """
        scope, revision = wanted.scope, wanted.revision
        self._ensuring[scope, revision] += 1
        try:
            async with self._locks[key_of(wanted)]:
                await reached("agent.start.before")
                await self._ensure(wanted, self._layout.instance(scope, revision, wanted.index))
                await reached("agent.start.after")
        finally:
            self._ensuring[scope, revision] -= 1
        launched = self.one(scope, revision, wanted.index)
        if launched is None:
            raise Conflict("The instance was removed meanwhile", subject=key_of(wanted))
        return launched.fact()

    async def remove(
        self, scope: str, revision: str, index: int | None = None, grace: float | None = None
    ) -> None:
        """Make instances of a revision not run; return when their processes are gone.

        Args:
            index: Which one; None for all of them, and the copy of the release they ran in.
            grace: Seconds before SIGKILL; None for what each one's own specification says.
        """
        directories = [
            directory
            for directory in self._directories(scope, revision)
            if index is None or directory.name == str(index)
        ]
        await reached("agent.stop.before")
        await asyncio.gather(*(self._remove_locked(path, grace) for path in directories))
        await self._remove_unused_app(scope, revision)
        await reached("agent.stop.after")

    async def set_admission(
        self,
        scope: str,
        revision: str,
        index: int,
        admission: Admission,
        meant: wire.InstanceWanted | None = None,
    ) -> Instance | None:
        """Write down whether an instance gets requests; telling the router is left to the caller.

        Args:
            meant: Only if it still has that specification.

        Returns:
            The instance as it was before, or None if it is not wanted.
        """
        async with self._locks[f"{scope}/{revision}/{index}"]:
            found = self.one(scope, revision, index)
            if found is None or meant not in (None, found.record.wanted):
                return None
            if found.admission != admission:
                admit(found.directory, admission)
            return found

    async def finish_removals(self) -> None:
        """Complete the removals that a crash interrupted."""
        for scope in scopes(self._layout.instances):
            for revision in revisions(self._layout.instances, scope):
                await self._finish(scope, revision)
        for scope in scopes(self._layout.apps):
            for revision in revisions(self._layout.apps, scope):
                await self._remove_unused_app(scope, revision)

    async def _ensure(self, wanted: wire.InstanceWanted, directory: Path) -> None:
        if (directory / "gone").exists():
            await self._remove(directory, 0.0)
        found = read(directory)
        same = found is not None and found.record.wanted == wanted
        if found and same and found.kept:
            if found.admission == "draining":
                admit(directory, "admitted")
                await self._tell_router()
            return
        if found and (not same or found.admission == "draining"):
            admit(directory, "waiting")
            await self._tell_router()
        if found and not same:
            await keepers.stop(directory / "spec.json", found.record.wanted.run.stop_grace)
        tree = await self._trees.app(wanted.scope, wanted.revision, wanted.release)
        if found is None:
            admit(directory, "waiting")
        port = found.record.port if found and same else None
        await self._write(directory, wanted, tree, port=port)
        await reached("agent.start.inside")
        await self._launch(directory)

    async def _finish(self, scope: str, revision: str) -> None:
        parent = self._layout.instance(scope, revision, 0).parent
        for entry in records.entries(parent):
            if entry.name.startswith(UNFINISHED):
                await asyncio.to_thread(remove_tree, entry)
                records.remove_empty(parent, levels=3)
        for directory in self._directories(scope, revision):
            if (directory / "gone").exists() or not (directory / "spec.json").exists():
                try:
                    await self._remove_locked(directory, None, again=True)
                except (TurnoutError, OSError) as error:
                    # A full disk, say: the others and the host itself must not wait for this one.
                    _log.warning("removal.postponed", place=directory.name, why=str(error))

    async def _remove_unused_app(self, scope: str, revision: str) -> None:
        """Remove the copy that no instance runs in, and that none is about to run in."""
        if not self._ensuring[scope, revision] and not self._directories(scope, revision):
            await self._trees.remove_app(scope, revision)

    async def repair(self, first: frozenset[tuple[str, str]] = frozenset()) -> int:
        """Start what must run and has no keeper; return how many were started.

        Args:
            first: Scopes and revisions that carry traffic and so come before the others.
        """
        keepers.reap()
        lost = [i for i in self.all() if not i.kept]
        lost.sort(key=lambda i: (i.record.wanted.scope, i.record.wanted.revision) not in first)
        started = 0
        for instance in lost:
            async with self._locks[key_of(instance.record.wanted)]:
                now = read(instance.directory)
                if now is None or now.kept or now.exhausted:
                    continue
                await self._launch(now.directory)
                started += 1
        return started

    async def halt(self) -> None:
        """End every instance, each with its own grace; all of them stay wanted."""
        running = [instance for instance in self.all() if instance.kept]
        await asyncio.gather(
            *(
                keepers.stop(one.directory / "spec.json", one.record.wanted.run.stop_grace)
                for one in running
            )
        )

    async def _remove_locked(
        self, directory: Path, grace: float | None, *, again: bool = False
    ) -> None:
        """Remove one instance.

        Args:
            again: Only if it is still half-removed, and not ensured anew meanwhile.
        """
        async with self._locks["/".join(directory.parts[-4:])]:
            if not again or read(directory) is None:
                await self._remove(directory, grace, again=again)

    async def _remove(self, directory: Path, grace: float | None, *, again: bool = False) -> None:
        found = read(directory, even_if_gone=True)
        if grace is None:
            grace = found.record.wanted.run.stop_grace if found else 0.0
        if directory.exists():
            records.write(directory / "gone", {"grace": grace})
        await reached("agent.stop.inside")
        try:
            # What is marked so is no address of its revision any more.
            await self._tell_router()
        except TurnoutError as error:
            # Whoever asked for it asks again; what a crash left over has nobody who would.
            if not again:
                raise
            _log.error("routing.refused", why=str(error))
        await keepers.stop(directory / "spec.json", grace)
        await strays.kill(directory / "home")
        if found and found.record.address.startswith("unix:"):
            Path(found.record.address.removeprefix("unix:")).unlink(missing_ok=True)
        if found:
            cgroups.remove(found.record.keeper.get("cgroup"))
        if directory.exists():
            # Renamed first: half of a directory would read as an instance that is wanted.
            place = directory.with_name(f"{UNFINISHED}{directory.name}-{secrets.token_hex(4)}")
            directory.rename(place)
            await asyncio.to_thread(remove_tree, place)
            records.remove_empty(directory.parent, levels=3)

    async def _write(
        self,
        directory: Path,
        wanted: wire.InstanceWanted,
        tree: Path,
        *,
        port: int | None = None,
        attempts: int = 0,
    ) -> None:
        async with self._choosing:
            if wanted.run.socket_env is None and port is None:
                taken = {i.record.port or 0 for i in self.all() if i.directory != directory}
                port = await asyncio.to_thread(ports.choose, taken)
            for part in ("home", "tmp"):
                (directory / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            socket = self._layout.socket(wanted.scope, wanted.revision, wanted.index)
            listens = None if wanted.run.socket_env is None else socket
            logs = self._layout.instance_log(wanted.scope, wanted.revision, wanted.index)
            logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            spec = keeper_spec(
                wanted, directory, tree, logs, port=port, socket=listens, cgroup=self._cgroup
            )
            record = Record(
                wanted=wanted,
                address=f"unix:{listens}" if listens else f"127.0.0.1:{port}",
                port=None if listens else port,
                attempts=attempts,
                keeper=spec,
            )
            records.write(directory / "spec.json", record)

    async def _launch(self, directory: Path) -> None:
        """Start the keeper, with another port as often as the chosen one proves to be taken."""
        while (found := read(directory)) is not None and not found.exhausted:
            record = found.record
            if found.status.state == "port-taken":
                tree = Path(record.keeper["cwd"])
                await self._write(directory, record.wanted, tree, attempts=record.attempts + 1)
            await strays.kill(directory / "home")
            cgroups.make(record.keeper.get("cgroup"), record.wanted.run.memory_bytes)
            for name in ("status.json", "stop.json"):
                (directory / name).unlink(missing_ok=True)
            await keepers.start(directory / "spec.json", directory / "keeper.err")
            now = read(directory)
            if now is None or now.status.state != "port-taken":
                return

    def _directories(self, scope: str, revision: str) -> list[Path]:
        parent = self._layout.instance(scope, revision, 0).parent
        return [path for path in records.entries(parent) if path.name.isdigit()]
