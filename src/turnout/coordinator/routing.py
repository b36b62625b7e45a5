"""What the router of a host shall lead to, made anew from the database and the host's facts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from turnout.base.errors import Failed
from turnout.coordinator import standing
from turnout.coordinator.context import Context, domains_of
from turnout.coordinator.fleet import ROUTER, host_state
from turnout.coordinator.job import Job
from turnout.coordinator.standing import ScopeRecord, Standing
from turnout.domain.facts import HostState, Revision
from turnout.domain.splits import baseline_revision
from turnout.wire import agent as wire
from turnout.wire.project import Component, Intent

ROUTE_DEADLINE_S = 60.0


async def reroute(
    ctx: Context,
    project: str,
    environment: str,
    host: str,
    *,
    candidate: Job | None = None,
    weights: Mapping[str, int] | None = None,
    without: Collection[str] = (),
    names_of_live: bool = False,
    split: Mapping[str, Any] | None = None,
    mirror: wire.Mirror | None = None,
) -> dict[str, Any]:
    """Set the routing of a scope on one host.

    Args:
        candidate: A deployment whose revision is reachable too, though it is not confirmed.
        weights: The wanted split; None leaves it as the host has it, but gives the traffic of
            what is taken out to the live release.
        without: Revisions that shall not be reachable any more.
        names_of_live: Whether the host names stay those of the live release for now.
        split: How clients are told apart, as in the plan; without *weights* that stays as it is.
        mirror: A revision that gets copies of safe requests; without *weights* that stays too.

    Returns:
        The version that the router acknowledged, for the record.

    Raises:
        Failed: A revision that shall get traffic is not up on the host.
    """
    record, facts = await asyncio.gather(
        scope_record(ctx, project, environment),
        ctx.fleet.call(host, lambda driver: driver.facts()),
    )
    state = host_state(record.scope, facts)
    shares = dict(state.weights if weights is None else weights)
    shares = {name: weight for name, weight in shares.items() if name not in without}
    known = _reachable(record, candidate, state, without)
    # A scope without any weight was taken off the air on purpose, or never was on it.
    if weights is None and state.weights and sum(shares.values()) != 100:
        live = record.live.revision.revision if record.live else ""
        shares = {live: 100} if live in known else {}
    missing = [name for name, weight in shares.items() if weight and name not in known]
    if missing:
        raise Failed(
            "A release that shall get traffic is not running",
            subject=f"{record.scope} on {host}",
            why=f"revision {missing[0]} has no instance there",
            next_step="Deploy the release again.",
        )
    if not known:
        await ctx.fleet.call(host, lambda driver: driver.unroute(record.scope), service=ROUTER)
        return {"version": ""}
    old = _intent(record)
    intent = (
        old if old and (names_of_live or not candidate) else candidate.intent if candidate else None
    )
    if intent is None:
        raise Failed("Nothing was ever live", subject=record.scope)
    told = next((route for route in facts.routes if route.scope == record.scope), None)
    marks = wire.Split.model_validate(dict(split)) if split else None
    if weights is None and told is not None:
        marks, mirror = told.split, mirror or told.mirror
    if marks and marks.baseline not in known:
        marks = marks.model_copy(update={"baseline": None})
    wanted = wire.RoutesWanted(
        scope=record.scope,
        domains=domains_of(project, environment, intent),
        default=record.is_default,
        weights=shares,
        revisions=tuple(known.values()),
        split=marks if marks and marks.candidate in known else None,
        mirror=mirror if mirror and mirror.revision in known else None,
    )
    applied = await ctx.fleet.call(
        host, lambda driver: driver.route(wanted), ROUTE_DEADLINE_S, ROUTER
    )
    return {"version": applied.version, "took_ms": applied.took_ms, "weights": shares}


def baseline_of(live: Standing, candidate: Revision) -> Revision:
    """Return the pseudo revision under which fresh instances of the live release run."""
    name = baseline_revision(live.revision.revision, candidate.revision)
    return replace(live.revision, revision=name)


async def prune_host(
    ctx: Context, project: str, environment: str, host: str, candidate: Job | None = None
) -> dict[str, Any]:
    """Remove from a host what its scope needs no longer: old releases, roots, copies."""
    record = await scope_record(ctx, project, environment)
    releases, revisions = kept(record)
    if candidate is not None:
        releases.add(candidate.revision.release)
        revisions.add(candidate.revision.revision)
    wanted = wire.PruneWanted(
        scope=record.scope, releases=tuple(sorted(releases)), revisions=tuple(sorted(revisions))
    )
    pruned = await ctx.fleet.call(host, lambda driver: driver.prune(wanted), 600.0)
    return {"releases": list(pruned.releases), "revisions": list(pruned.revisions)}


def kept(record: ScopeRecord) -> tuple[set[str], set[str]]:
    """Return the releases and revisions that a scope keeps: live, the way back, the newest."""
    keep = record.live.intent.rollout.keep_releases if record.live else 1
    static = record.live.intent.component.static if record.live else None
    if static is not None:
        # Assets are bridged out of releases that are there: the live one and those before it,
        # and the one that a rollback went past.
        keep = max(keep, static.bridge_releases + 2)
    wanted = [record.live, record.previous, *record.entries[:keep]]
    entries = [entry for entry in wanted if entry is not None]
    releases = {entry.revision.release for entry in entries}
    return releases, {entry.revision.revision for entry in entries}


async def scope_record(ctx: Context, project: str, environment: str) -> ScopeRecord:
    """Return the scope as the database has it.

    Raises:
        Failed: It was never made.
    """
    record = await asyncio.to_thread(standing.read, ctx.ledger.database, project, environment)
    if record is None:
        raise Failed("The environment is gone", subject=f"{project}/{environment}")
    return record


def _intent(record: ScopeRecord) -> Intent | None:
    entry = record.live or next(iter(record.entries), None)
    return entry.intent if entry else None


def _reachable(
    record: ScopeRecord, candidate: Job | None, state: HostState, without: Collection[str]
) -> dict[str, wire.RevisionRoute]:
    wanted: dict[str, tuple[Revision, Component]] = {}
    if candidate is not None:
        wanted[candidate.revision.revision] = (candidate.revision, candidate.intent.component)
        if record.live is not None:
            twin = baseline_of(record.live, candidate.revision)
            wanted[twin.revision] = (twin, record.live.intent.component)
    for entry in (record.live, record.previous, *record.entries):
        # What is routed is not pruned, so what is not kept must not stay routed for ever.
        if entry is not None and entry.revision.revision in kept(record)[1]:
            wanted.setdefault(entry.revision.revision, (entry.revision, entry.intent.component))
    return {
        name: wire.RevisionRoute(revision=name, release=revision.release, component=component)
        for name, (revision, component) in wanted.items()
        if name not in without and (name in state.sites or name in state.instances)
    }
