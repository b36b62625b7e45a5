"""Exchanging: single instances, copies of requests, and a scope that is off the air for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.base.errors import Failed
from turnout.coordinator import routing, verifying
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job
from turnout.domain.facts import Revision
from turnout.wire import agent as wire
from turnout.wire.project import Component

START_DEADLINE_S = 900.0
Result = dict[str, Any]


async def subject(ctx: Context, job: Job, args: Mapping[str, Any]) -> tuple[Revision, Component]:
    """Return the revision that a step is about, and how it runs.

    That is the job's own, unless the step says ``"of": "live"``: then it is the baseline, which
    is the live release again under another name.

    Raises:
        Failed: Nothing is live any more.
    """
    if args.get("of") != "live":
        return job.revision, job.intent.component
    record = await routing.scope_record(ctx, job.project, job.environment)
    if record.live is None:
        raise Failed("There is no live release to compare with", subject=job.scope)
    return routing.baseline_of(record.live, job.revision), record.live.intent.component


def instance(job: Job, revision: Revision, component: Component, index: int) -> wire.InstanceWanted:
    """Return the message that asks for one instance.

    Raises:
        Failed: It is a static site, which has none.
    """
    if component.run is None:
        raise Failed("A static site has no instances", subject=job.scope)
    return wire.InstanceWanted(
        scope=job.scope,
        revision=revision.revision,
        release=revision.release,
        index=index,
        run=component.run,
    )


async def take_out(ctx: Context, job: Job, host: str, revision: str) -> None:
    """Take a revision out of the router of a host; what is left keeps its names."""
    await routing.reroute(
        ctx,
        job.project,
        job.environment,
        host,
        candidate=None if revision == job.revision.revision else job,
        without={revision},
        names_of_live=True,
    )


async def switch_off(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Take the scope off the air on a host: every request is answered with 503."""
    return await routing.reroute(
        ctx, job.project, job.environment, host, candidate=job, weights={}, names_of_live=True
    )


async def mirror(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Send copies of safe requests to a revision that answers nobody."""
    wanted = wire.Mirror(revision=args["revision"], percent=args["percent"])
    return await routing.reroute(
        ctx, job.project, job.environment, host, candidate=job, mirror=wanted, names_of_live=True
    )


async def unmirror(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Send no more copies."""
    return await routing.reroute(
        ctx,
        job.project,
        job.environment,
        host,
        candidate=job,
        weights=await _weights(ctx, job, host),
        names_of_live=True,
    )


async def restore(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Bring an instance of the live release back: it runs, is healthy and gets requests.

    Raises:
        Failed: It does not become healthy.
    """
    record = await routing.scope_record(ctx, job.project, job.environment)
    live = record.live
    if live is None or live.revision.revision != args["revision"]:
        return {}
    component = live.intent.component
    wanted = instance(job, live.revision, component, args["index"])
    await ctx.fleet.call(host, lambda driver: driver.ensure_instance(wanted), START_DEADLINE_S)
    ready = wire.ReadyWanted(
        scope=job.scope,
        revision=live.revision.revision,
        health=component.health,
        index=args["index"],
    )
    found = await ctx.fleet.call(
        host, lambda driver: driver.await_ready(ready), component.health.deadline + 30.0
    )
    return verifying.demand_good(found, f"is not healthy on {host}", live.revision.release)


async def _weights(ctx: Context, job: Job, host: str) -> dict[str, int]:
    facts = await ctx.fleet.call(host, lambda driver: driver.facts())
    return next((dict(one.weights) for one in facts.routes if one.scope == job.scope), {})
