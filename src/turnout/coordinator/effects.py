"""What each action does: one function an action, each saying to its host what must be so.

An effect gets the job (the deployment and what it is about) and the step's arguments, returns
plain JSON that is recorded as the step's result, and raises a TurnoutError when it cannot.
Every effect may be run again after it was cut off anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from turnout.base.errors import Exhausted, Failed
from turnout.coordinator import exchanging, routing, sealing, standing, sweeping, verifying
from turnout.coordinator.context import Context
from turnout.coordinator.fleet import ROUTER
from turnout.coordinator.job import Job, aborted
from turnout.coordinator.shifting import shift
from turnout.domain.phases import Kind
from turnout.domain.steps import Action
from turnout.wire import agent as wire

Result = dict[str, Any]
SPARE_DISK_BYTES = 256 << 20
"""Less free disk than this on a host and a deployment does not begin."""


Effect = Callable[[Context, Job, str, Mapping[str, Any]], Coroutine[Any, Any, Result]]


async def check_host(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """See that a host answers, that its router and origin are up and that its disk has room."""
    facts = await ctx.fleet.call(host, lambda driver: driver.facts(), 15.0)
    if not facts.router_alive:
        raise Failed(
            "The router of the host is down",
            subject=host,
            next_step="It is being restarted; if it stays down, 'turnout doctor' says why.",
        )
    if job.revision.static and not facts.origin_alive:
        raise Failed(
            "The static origin of the host is down",
            subject=host,
            next_step="It is being restarted; if it stays down, 'turnout doctor' says why.",
        )
    if facts.disk_free_bytes < SPARE_DISK_BYTES:
        raise Exhausted(
            "The host has too little free disk",
            subject=host,
            why=f"{facts.disk_free_bytes >> 20} MiB are free, {SPARE_DISK_BYTES >> 20} are needed",
            next_step="Free disk space there, then deploy again.",
        )
    return {"disk_free_bytes": facts.disk_free_bytes, "agent": facts.agent}


async def build_site(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Make the static root of the job's revision exist on a host."""
    static = job.intent.component.static
    if static is None:
        raise Failed("A server app has no static root", subject=job.scope)
    wanted = wire.SiteWanted(
        scope=job.scope,
        revision=job.revision.revision,
        release=job.revision.release,
        static=static,
    )
    await ctx.fleet.call(host, lambda driver: driver.ensure_site(wanted), 1800.0)
    return {}


async def start(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Make one instance run on a host: of the job's revision, or of its baseline."""
    revision, component = await exchanging.subject(ctx, job, args)
    wanted = exchanging.instance(job, revision, component, args["index"])
    fact = await ctx.fleet.call(host, lambda driver: driver.ensure_instance(wanted), 900.0)
    return {"address": fact.address, "pid": fact.pid}


async def await_ready(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Wait until the job's revision, its baseline, or one instance of them is healthy."""
    revision, component = await exchanging.subject(ctx, job, args)
    health = component.health
    wanted = wire.ReadyWanted(
        scope=job.scope, revision=revision.revision, health=health, index=args.get("index")
    )
    found = await ctx.fleet.call(
        host, lambda driver: driver.await_ready(wanted), health.deadline + 30.0
    )
    return verifying.demand_good(found, f"is not healthy on {host}", revision.release)


async def probe(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Ask what runs of the job's revision on a host for one good answer."""
    wanted = wire.ProbeWanted(
        scope=job.scope,
        revision=job.revision.revision,
        path=args["path"],
        expect=args["expect"],
        timeout=job.intent.component.health.timeout,
    )
    found = await ctx.fleet.call(host, lambda driver: driver.probe(wanted), 330.0)
    return verifying.demand_good(found, f"does not answer on {host}", job.revision.release)


async def check(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Run one check of the project against the new release on a host."""
    wanted = wire.ProbeWanted(
        scope=job.scope,
        revision=job.revision.revision,
        path=args["path"],
        expect=args["expect"],
        contains=args["contains"],
        timeout=job.intent.component.health.timeout,
    )
    found = await ctx.fleet.call(host, lambda driver: driver.probe(wanted), 330.0)
    return verifying.demand_good(
        found, f"fails the check '{args['name']}' on {host}", job.revision.release
    )


async def bridge(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Keep hashed assets of earlier releases reachable on a host."""
    wanted = wire.BridgeWanted(scope=job.scope, releases=tuple(args["releases"]))
    await ctx.fleet.call(host, lambda driver: driver.bridge(wanted), 600.0)
    return {}


async def expose(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Make the job's revision reachable by its preview name, without traffic."""
    return await routing.reroute(
        ctx, job.project, job.environment, host, candidate=job, names_of_live=True
    )


async def conceal(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Take the job's revision out of the router of a host."""
    return await routing.reroute(
        ctx, job.project, job.environment, host, without={job.revision.revision}
    )


async def switch(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Give the job's revision its share of the traffic of a host."""
    return await shift(ctx, job, [host], args["weights"], args.get("split"))


async def switch_back(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Give the traffic of a host back to what had it before."""
    return await routing.reroute(
        ctx,
        job.project,
        job.environment,
        host,
        candidate=job,
        weights=args["weights"],
        names_of_live=True,
    )


async def verify(ctx: Context, job: Job, _host: str, args: Mapping[str, Any]) -> Result:
    """Watch the job's revision on live traffic."""
    return await verifying.watch(ctx, job, float(args["seconds"]))


async def confirm(ctx: Context, job: Job, _host: str, args: Mapping[str, Any]) -> Result:
    """Make the release the live one, unless somebody has called the deployment off.

    Raises:
        Aborted: Somebody has.
    """
    ledger = ctx.ledger

    def commit() -> None:
        # One transaction with the end of the step: either an abort comes before it and undoes
        # everything, or it is refused; and nobody is told twice.
        with ledger.database.transaction() as connection:
            row = ledger.row_in(connection, job.id)
            if row["control"] == "abort":
                raise aborted(job.id, row["control_reason"])
            standing.confirm(
                connection,
                row,
                rolled_back=job.kind is Kind.ROLLBACK,
                keep_warm=args.get("keep_warm", job.intent.rollout.keep_warm),
            )
            for step in ledger.step_rows_in(connection, job.id):
                if step["action"] == Action.CONFIRM:
                    ledger.end_step_in(
                        connection, job.id, step["position"], "done", result={}, error=""
                    )
            if not args["keep_previous"]:
                ledger.tell(connection, row, "release.confirmed", release=job.revision.release)

    await asyncio.to_thread(commit)
    return {}


async def drain(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Keep new requests from a revision, or from one instance of it, and wait for the last."""
    index = args.get("index")
    if index is None:
        await exchanging.take_out(ctx, job, host, args["revision"])
    wanted = wire.DrainWanted(
        scope=job.scope, revision=args["revision"], index=index, deadline=args["deadline"]
    )
    found = await ctx.fleet.call(
        host, lambda driver: driver.drain(wanted), float(args["deadline"]) + 30.0, ROUTER
    )
    return {"left": found.left}


async def stop(ctx: Context, job: Job, host: str, args: Mapping[str, Any]) -> Result:
    """Stop instances of a revision on a host, or remove its static root."""
    revision = args.get("revision", job.revision.revision)
    index = args.get("index")
    run = job.intent.component.run
    if index is None:
        await exchanging.take_out(ctx, job, host, revision)
    gone = wire.InstanceGone(
        scope=job.scope,
        revision=revision,
        index=index,
        grace=run.stop_grace if run else 10.0,
    )
    await ctx.fleet.call(host, lambda driver: driver.remove_instances(gone), gone.grace + 60.0)
    return {}


async def unstage(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Take back what staging brought to a host."""
    return await routing.prune_host(ctx, job.project, job.environment, host)


async def prune(ctx: Context, job: Job, host: str, _args: Mapping[str, Any]) -> Result:
    """Remove from a host what its scope needs no longer."""
    return await routing.prune_host(ctx, job.project, job.environment, host, candidate=job)


async def record(ctx: Context, job: Job, _host: str, _args: Mapping[str, Any]) -> Result:
    """Discard the package, and drop releases from the store that nothing needs."""
    await sealing.discard(ctx, job)
    await sweeping.prune_store(ctx, job.project)
    return {}


async def discard(ctx: Context, job: Job, _host: str, _args: Mapping[str, Any]) -> Result:
    """Remove the package of a deployment that failed."""
    await sealing.discard(ctx, job)
    return {}


EFFECTS: dict[Action, Effect] = {
    Action.CHECK_HOST: check_host,
    Action.SEAL: sealing.seal,
    Action.STAGE: sealing.stage,
    Action.BUILD_SITE: build_site,
    Action.START: start,
    Action.EXPOSE: expose,
    Action.AWAIT_READY: await_ready,
    Action.PROBE: probe,
    Action.CHECK: check,
    Action.BRIDGE: bridge,
    Action.SWITCH: switch,
    Action.SWITCH_BACK: switch_back,
    Action.SWITCH_OFF: exchanging.switch_off,
    Action.MIRROR: exchanging.mirror,
    Action.UNMIRROR: exchanging.unmirror,
    Action.RESTORE: exchanging.restore,
    Action.VERIFY: verify,
    Action.CONFIRM: confirm,
    Action.DRAIN: drain,
    Action.STOP: stop,
    Action.PRUNE: prune,
    Action.RECORD: record,
    Action.DISCARD: discard,
    Action.UNSTAGE: unstage,
    Action.CONCEAL: conceal,
}
