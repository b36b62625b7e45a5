"""Choosing: what a rollback goes back to, whether it can, and by which steps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from turnout import rollback
from turnout.base import clock
from turnout.base.errors import Impossible, InvalidInput, Refused, TurnoutError
from turnout.coordinator import timeline
from turnout.coordinator.context import Context
from turnout.coordinator.standing import ScopeRecord, Standing, revision_of
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.steps import Action, Plan
from turnout.rollback import Passed, Version
from turnout.rollback.selective import Only
from turnout.wire.api import RollbackRequest
from turnout.wire.project import Intent

_LIST = "'turnout releases' lists them"


@dataclass(frozen=True)
class Target:
    """What a rollback brings back.

    Attributes:
        version: The release and the configuration with which it will run.
        back_to: The entry of the history that it goes back to: what came after is withdrawn.
        only: The part of the release unit that goes back; None for all of it.
    """

    version: Version
    back_to: int | None
    only: Only | None = None

    @property
    def revision(self) -> Revision:
        """The release under that configuration."""
        return revision_of(self.version.release, self.version.intent)


def choose(ctx: Context, record: ScopeRecord, request: RollbackRequest) -> Target:
    """Return what a rollback goes back to.  Blocks.

    When nobody names anything and a deployment under way has moved traffic already, that is what
    is still recorded as live: the release before the one that users see.

    Raises:
        Impossible: There is nothing to go back to, or it is live already.
        InvalidInput: ``to``, ``at`` or ``only`` name nothing that there is.
    """
    only = _part(request.only)
    if request.to is not None and request.at is not None:
        raise InvalidInput(
            "A rollback goes to a release or to a moment, not both",
            subject=record.scope,
            next_step="Leave out 'to' or 'at'.",
        )
    # A drill waits for its turn, and by then the deployment under way has ended.
    going_back = not request.drill and _moved_traffic(ctx, record.holder)
    if request.at is not None:
        target = _live_at(ctx, record, request.at)
    elif request.to is not None:
        target = _of_entry(_named(record, request.to))
    elif going_back and record.live is not None:
        target = _of_entry(record.live)
    elif record.previous is not None:
        target = _of_entry(record.previous)
    else:
        raise Impossible(
            "There is no release to go back to",
            subject=record.scope,
            why=_why_no_way_back(record),
            next_step=f"Name one with --to; {_LIST}.",
        )
    if record.live is None:
        return target
    live = Version(record.live.revision.release, record.live.intent)
    if only is not None:
        target = replace(target, version=rollback.compose(live, target.version, only), only=only)
    if target.revision == record.live.revision and target.version == live and not going_back:
        raise Impossible(
            f"Release {target.version.release[:12]} is live already",
            subject=record.scope,
            next_step=f"Name another release with --to; {_LIST}.",
        )
    return target


def of_row(row: Mapping[str, Any]) -> Target:
    """Return the target that a rollback's row holds."""
    version = Version(row["release"], Intent.model_validate(row["intent"]))
    return Target(version, row["back_to"], row["only"] or None)


async def demand_feasible(
    ctx: Context,
    record: ScopeRecord,
    target: Target,
    state: ScopeState | None = None,
    *,
    forced: bool = False,
    thorough: bool = False,
) -> tuple[str, ...]:
    """Return what is to be known about a rollback that can be done.

    Args:
        state: What the hosts say; None where they are not asked yet, for one that is just away
            must not keep a rollback from waiting for it.
        forced: Whether a human wants to go back past the point of no return.
        thorough: Whether to look into the store though the hosts hold the release already.

    Raises:
        Impossible: It cannot be done.
        Refused: It would go past the point of no return.
    """
    held = state is None or all(target.version.release in host.releases for host in state.hosts)
    kept, lacking, since = await asyncio.to_thread(
        _facts, ctx, record, target, thorough or not held
    )
    live = record.live.revision if record.live else None
    found = rollback.feasibility(
        state or ScopeState(record.scope, (), live=live),
        target.revision,
        target.version.intent,
        kept=kept,
        lacking=lacking,
        hosts=ctx.fleet.names,
        since=since,
        forced=forced,
    )
    short = target.version.release[:12]
    if found.reasons:
        raise Impossible(
            f"There is no way back to release {short}",
            subject=record.scope,
            why="; ".join(found.reasons),
            next_step=f"Deploy its files again, or name another release with --to; {_LIST}.",
        )
    if found.crossed:
        raise Refused(
            f"Going back to release {short} would cross the point of no return",
            subject=record.scope,
            why="; ".join(found.crossed),
            next_step="Deploy a release that knows what was done. If you are sure that the old one"
            " can live with it, go back with --force.",
        )
    return found.warnings


async def plan(ctx: Context, record: ScopeRecord, request: RollbackRequest) -> Plan:
    """Return the steps that a rollback would run now.

    Raises:
        Impossible: It cannot be done.
        InvalidInput: What it goes back to is not there.
        Refused: It would go past the point of no return.
        Unreachable: A host does not answer.
    """
    target = await asyncio.to_thread(choose, ctx, record, request)
    return await plan_back(ctx, record, target, drill=request.drill, forced=request.force)


async def plan_back(
    ctx: Context, record: ScopeRecord, target: Target, *, drill: bool, forced: bool
) -> Plan:
    """Return the steps of the rollback to *target*, or of its drill.

    Raises:
        As :func:`plan` does.
    """
    intent = target.version.intent
    state = await ctx.fleet.state(record, intent.hosts)
    warnings = await demand_feasible(ctx, record, target, state, forced=forced, thorough=drill)
    made = rollback.drill if drill else rollback.plan
    return made(state, target.revision, intent, warnings)


def _part(only: str | None) -> Only | None:
    if only is None:
        return None
    if only == "configuration":
        return "configuration"
    if only == "code":
        return "code"
    raise InvalidInput(
        "There is no such part to roll back",
        subject=only,
        why="this project has one component; a rollback of it can be restricted to its"
        " 'configuration' or its 'code'",
        next_step="Leave 'only' out, or use one of these two.",
    )


def _named(record: ScopeRecord, to: str) -> Standing:
    found = {
        entry.revision.release: entry
        for entry in reversed(record.entries)
        if entry.revision.release.startswith(to)
    }
    if len(found) != 1:
        raise InvalidInput(
            "No release of this environment begins like that"
            if not found
            else "More than one release begins like that",
            subject=to[:64],
            why=f"{record.scope} has had {len(record.entries)} releases",
            next_step=f"{_LIST[0].upper()}{_LIST[1:]}; give more digits.",
        )
    return next(iter(found.values()))


def _live_at(ctx: Context, record: ScopeRecord, at: datetime) -> Target:
    if at.tzinfo is None:
        raise InvalidInput(
            "A moment needs a time zone",
            subject=at.isoformat(),
            why="without one nobody can tell which moment is meant",
            next_step=f"Write {at.isoformat()}Z for UTC, or the offset of your zone behind it.",
        )
    if at.year < 1970:
        raise InvalidInput(
            "That moment is before all of this",
            subject=at.isoformat(),
            next_step="Name a moment at which something was live.",
        )
    if at > clock.now():
        raise InvalidInput(
            "That moment is in the future",
            subject=at.isoformat(),
            next_step="Name a moment at which something was live.",
        )
    with ctx.ledger.database.reading() as connection:
        row = timeline.live_at(connection, record.project, record.environment, at)
        first = timeline.first_live(connection, record.project, record.environment)
    if row is None:
        raise InvalidInput(
            "Nothing was live at that moment",
            subject=f"{record.scope} at {at.isoformat()}",
            why=f"its first release became live at {first.isoformat(timespec='seconds')}"
            if first
            else "no release was ever live there",
            next_step="Name a later moment; 'turnout list' shows the deployments.",
        )
    version = Version(row["release"], Intent.model_validate(row["intent"]))
    then = [entry for entry in record.entries if entry.confirmed_at <= row["confirmed_at"]]
    same = [entry for entry in then if entry.revision.revision == row["revision"]]
    entry = next(iter(same or then), None)
    return Target(version, entry.id if entry else None)


def _of_entry(entry: Standing) -> Target:
    return Target(Version(entry.revision.release, entry.intent), entry.id)


def _facts(
    ctx: Context, record: ScopeRecord, target: Target, thorough: bool
) -> tuple[bool, int, Sequence[Passed]]:
    """Return whether the target is kept, how many of its files are lost, and what was done since.

    Files are only counted if *thorough*: a rollback to what hosts hold must not wait for it.  The
    code has to know what was done; a configuration of then beside the code of now does not.
    """
    release = target.version.release
    kept, lacking = ctx.store.has(record.project, release), 0
    if kept and thorough:
        try:
            manifest = ctx.store.manifest(record.project, release)
            lacking = ctx.store.lacks(record.project, manifest)
        except TurnoutError:
            # Pruned, or found damaged, at this very moment.
            kept = False
    since: Sequence[Passed] = ()
    if target.only != "configuration":
        with ctx.ledger.database.reading() as connection:
            place = (record.project, record.environment)
            if (live := timeline.last_live(connection, *place, release)) is not None:
                since = timeline.passed_since(connection, *place, live)
    return kept, lacking, since


def _why_no_way_back(record: ScopeRecord) -> str:
    if record.live is None:
        return "no release is live in this environment"
    if len(record.entries) > 1:
        return "no earlier one is left; what a rollback went past has to be named"
    return "none was live here before"


def _moved_traffic(ctx: Context, deployment: str | None) -> bool:
    """Return whether a deployment has begun to move traffic and is not confirmed yet."""
    if deployment is None:
        return False
    rows = ctx.ledger.step_rows(deployment)
    moves = (Action.SWITCH, Action.RAMP, Action.SWITCH_OFF)
    moved = any(row["action"] in moves and row["status"] != "pending" for row in rows)
    return moved and not any(
        row["action"] == Action.CONFIRM and row["status"] == "done" for row in rows
    )
