"""Commands of a project: each runs once on this host, in a private copy of a release.

A keeper runs it, so it goes on when the agent ends.  Whoever asks again under the same id waits
for that run or is told its result again.  What was begun and did not live to say how it ended,
because the whole host went down, is not known and is never begun again.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import structlog

from turnout.agent import keepers, records, strays
from turnout.agent.commandfiles import GRACE, CommandFiles, Outcome
from turnout.agent.paths import UNFINISHED, Layout, checked, scopes
from turnout.agent.trees import Trees
from turnout.base.errors import Conflict, Failed, TurnoutError, Unreachable
from turnout.base.failpoints import reached
from turnout.packages.disk import remove_tree
from turnout.wire import agent as wire

KEPT_S = 7 * 86400.0
"""Seconds that a result is kept at most."""
ATTEMPTS = 3
"""How often a keeper is started that ends before it has begun anything."""

_LOOK_S = 0.1

_log = structlog.get_logger()


class Commands:
    """Every command of this agent."""

    def __init__(self, layout: Layout, trees: Trees) -> None:
        self._layout = layout
        self._trees = trees
        self._under_way: dict[Path, asyncio.Task[Outcome]] = {}
        self._resting = False

    async def run(self, wanted: wire.CommandWanted) -> wire.CommandResult:
        """Return how a command ended; it is begun if it was not asked for before.

        A caller that goes away leaves it running.

        Raises:
            NotFound: The release is not on this host.
            Conflict: The id names another command.
            Failed: It cannot be started, or it is not known how it ended.
        """
        files = CommandFiles(self._layout.command(wanted.scope, wanted.id))
        if (record := files.record()) is not None:
            _check_same(record.wanted.release, _digest(record.wanted), wanted)
        outcome = await asyncio.shield(self._task(files, wanted))
        _check_same(outcome.release, outcome.command, wanted)
        if outcome.result is None:
            raise Failed(
                "It is not known how the command ended",
                subject=f"{wanted.scope}/{wanted.id}",
                why="it was begun, then killed before it ended: the host or Turnout was stopped",
                next_step="See what it had done by then; it is never run twice by itself.",
                facts={"final": True},
            )
        return outcome.result

    def adopt(self) -> None:
        """Look after the commands that an agent before this one began; called once."""
        for files in self._all():
            record = files.record()
            if record is not None and (files.begun or files.kept):
                self._task(files, record.wanted)

    def sweep(self) -> None:
        """Remove what a crash left half-made and what is too old; called before anything runs."""
        for scope in scopes(self._layout.commands):
            area = self._layout.commands / scope
            for entry in records.entries(area):
                if entry.name.startswith(UNFINISHED):
                    remove_tree(entry)
                elif entry.is_dir():
                    files = CommandFiles(entry)
                    if files.end.exists() or not (files.spec.exists() or files.begun):
                        remove_tree(entry)
            self._forget(scope, lambda outcome: time.time() - outcome.at > KEPT_S)
            records.remove_empty(area, levels=2)

    async def prune(self, scope: str, keep: Collection[str]) -> None:
        """Forget the results of revisions other than *keep*, and those that are too old."""

        def old(revision: str, at: float) -> bool:
            return revision not in keep or time.time() - at > KEPT_S

        self._forget(scope, lambda outcome: old(outcome.revision, outcome.at))
        for files in self._all(scope):
            record = files.record()
            if files.directory in self._under_way or files.begun or files.kept:
                continue
            if record is None or old(record.wanted.revision, files.spec.stat().st_mtime):
                await _discard(files.directory)
        records.remove_empty(self._layout.commands / checked(scope), levels=2)

    async def halt(self) -> None:
        """End every command that runs, and begin none any more; how it ended is not known then."""
        self._resting = True
        while True:
            # Again and again, for a keeper may just be coming up.
            kept = [files for files in self._all() if files.kept]
            await asyncio.gather(*(keepers.stop(files.spec, GRACE) for files in kept))
            if not self._under_way:
                return
            await asyncio.wait(self._under_way.values(), timeout=_LOOK_S)

    def _task(self, files: CommandFiles, wanted: wire.CommandWanted) -> asyncio.Task[Outcome]:
        """Return the task that brings a command to its end; there is one however many ask."""
        found = self._under_way.get(files.directory)
        if found is None:
            found = asyncio.create_task(self._run(files, wanted))
            self._under_way[files.directory] = found
            found.add_done_callback(lambda task: self._done(files, task))
        return found

    def _done(self, files: CommandFiles, task: asyncio.Task[Outcome]) -> None:
        del self._under_way[files.directory]
        # Nobody may wait for it any more, and then this is where its error is told.
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            known = isinstance(error, TurnoutError)
            _log.warning("command.failed", why=str(error), exc_info=None if known else error)

    async def _run(self, files: CommandFiles, wanted: wire.CommandWanted) -> Outcome:
        if (outcome := files.outcome()) is not None:
            return outcome
        await reached("agent.command.before")
        if files.record() is None:
            await self._trees.copy(wanted.release, files.tree)
            files.prepare(wanted)
        for _ in range(ATTEMPTS):
            if not files.begun and not files.kept:
                if self._resting:
                    raise Unreachable(
                        "The command is not begun: the agent ends",
                        subject=f"{wanted.scope}/{wanted.id}",
                        next_step="Start the agent again.",
                    )
                await _start(files)
            await reached("agent.command.inside")
            await keepers.ended(files.lock)
            if files.begun:
                break
        else:
            raise Failed(
                "The command cannot be started",
                subject=f"{wanted.scope}/{wanted.id}",
                why="its keeper ended each time before it began anything",
                next_step="See the agent's log, then ask again.",
            )
        await strays.kill(files.home)
        result = await asyncio.to_thread(files.result)
        if (outcome := files.outcome()) is not None:
            return outcome  # of another object over the same directory, which was quicker
        outcome = Outcome(
            revision=wanted.revision,
            release=wanted.release,
            command=_digest(wanted),
            at=time.time(),
            result=result,
        )
        records.write(files.end, outcome)
        await reached("agent.command.after")
        await _discard(files.directory)
        return outcome

    def _all(self, scope: str | None = None) -> Iterator[CommandFiles]:
        for found in scopes(self._layout.commands) if scope is None else [checked(scope)]:
            for entry in records.entries(self._layout.commands / found):
                if entry.is_dir() and not entry.name.startswith(UNFINISHED):
                    yield CommandFiles(entry)

    def _forget(self, scope: str, unwanted: Callable[[Outcome], bool]) -> None:
        for entry in records.entries(self._layout.commands / checked(scope)):
            if entry.suffix == ".json":
                outcome = records.read_as(entry, Outcome)
                if outcome is None or unwanted(outcome):
                    entry.unlink(missing_ok=True)


async def _start(files: CommandFiles) -> None:
    try:
        await keepers.start(files.spec, files.directory / "keeper.err")
    except Failed as error:
        # Another keeper, of an agent before this one, may have been quicker.
        if not files.begun:
            raise Failed(
                "The command cannot be started",
                subject=str(files.directory),
                why=error.why,
                next_step="See the agent's log; the disk or the process limit may be exhausted.",
            ) from error


async def _discard(directory: Path) -> None:
    """Remove a command's directory: renamed first, so that it is whole or gone."""
    place = directory.with_name(f"{UNFINISHED}{directory.name}-{secrets.token_hex(4)}")
    try:
        directory.rename(place)
    except FileNotFoundError:
        return
    await asyncio.to_thread(remove_tree, place)


def _check_same(release: str, command: str, wanted: wire.CommandWanted) -> None:
    """Check that an id that was used before names the same command."""
    if (release, command) != (wanted.release, _digest(wanted)):
        raise Conflict(
            "This id names another command",
            subject=f"{wanted.scope}/{wanted.id}",
            next_step="Give each run of a command an id of its own.",
        )


def _digest(wanted: wire.CommandWanted) -> str:
    return hashlib.sha256("\0".join(wanted.command).encode()).hexdigest()
