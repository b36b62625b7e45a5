"""Whether a release is good: answers of hosts turned into a result or a reasoned failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.base import clock
from turnout.base.errors import Failed, TurnoutError, Unreachable
from turnout.coordinator.context import Context
from turnout.coordinator.fleet import ROUTER
from turnout.coordinator.job import Job
from turnout.wire import agent as wire

LINES_TOLD = 5
LONGEST_LINE = 160
"""Characters of each log line that goes into a reason."""

PATIENCE_S = 30.0
"""How much longer is watched while a host that was never seen does not answer."""

LEAST_LOOKS = 2
"""Requests and errors are counted between two looks."""

BAD_IN_A_ROW = 2
"""One bad answer can be a hiccup; this many in a row are a verdict."""


class NotGood(Failed):
    """A verdict was bad: the release is at fault, so trying again would not help."""


def demand_good(found: wire.ProbeResult, what: str, release: str) -> dict[str, Any]:
    """Return the evidence of a good verdict.

    Raises:
        NotGood: The verdict is bad; the last log lines are in its facts.
        Unreachable: There is no verdict, for nothing could be asked.
    """
    if found.verdict == "good":
        return {"status": found.status, "latency_ms": found.latency_ms, "attempts": found.attempts}
    if found.verdict == "bad":
        raise NotGood(
            f"Release {release[:12]} {what}",
            why=found.reason + _last_words(found.log_tail),
            next_step="Mend the release and deploy again.",
            facts={"final": True, "log_tail": list(found.log_tail), "status": found.status},
        )
    raise Unreachable(
        f"Release {release[:12]} could not be probed", why=f"{found.verdict}: {found.reason}"
    )


def _last_words(log_tail: Sequence[str]) -> str:
    """Return the last few log lines for the end of a sentence; all of them are in the facts."""
    lines = [line.strip()[:LONGEST_LINE] for line in log_tail]
    # The frames of a JavaScript stack tell least and are most.
    words = [line for line in lines if line and not line.startswith("at ")]
    return f"; it last wrote: {' / '.join(words[-LINES_TOLD:])}" if words else ""


async def watch(ctx: Context, job: Job, seconds: float) -> dict[str, Any]:
    """Watch a release on live traffic: its health, and the share of server errors.

    Args:
        seconds: How long; 0 asks each host once, through its router.

    Returns:
        The evidence.

    Raises:
        NotGood: Two probes in a row failed, or the error rate is above what the rollout allows.
        Unreachable: No host could be asked in the whole time.
    """
    hosts = job.intent.hosts or ctx.fleet.names
    if seconds <= 0:
        for host in hosts:
            found = await _probe(ctx, job, host, through_router=True)
            demand_good(
                found, f"does not answer through the router of {host}", job.revision.release
            )
        return {"watched_s": 0}
    watchers = [_Watcher(ctx, job, host) for host in hosts]
    end = clock.monotonic() + seconds
    pause = min(job.intent.component.health.interval, max(0.05, seconds / 3))
    while True:
        await asyncio.gather(*(watcher.look() for watcher in watchers))
        left = end - clock.monotonic()
        if left <= 0:
            # A host that came back late, as its agent does after a crash, is still to be seen.
            if all(watcher.seen for watcher in watchers) or left < -PATIENCE_S:
                break
            left = pause
        await asyncio.sleep(min(pause, left))
    # A bad answer at the very end is not a verdict yet: one more look makes it one.  And a host
    # that was looked at only once, for it was slow, has nothing to compare its counts with.
    again = [watcher for watcher in watchers if watcher.bad or watcher.looks < LEAST_LOOKS]
    await asyncio.gather(*(watcher.look() for watcher in again))
    for watcher in watchers:
        watcher.demand_seen()
    return {
        "watched_s": seconds,
        "requests": sum(watcher.requests for watcher in watchers),
        "server_errors": sum(watcher.errors for watcher in watchers),
    }


@dataclass
class _Watcher:
    """The running judgement of one host.

    Attributes:
        start: Requests and server errors when the watch began.
        requests: Requests since then.
        errors: Server errors since then.
        bad: Bad answers in a row.
        looks: How often it was looked at.
        seen: Answers that said something.
        trouble: Why the last look saw nothing.
    """

    ctx: Context
    job: Job
    host: str
    start: tuple[int, int] | None = None
    requests: int = 0
    errors: int = 0
    bad: int = 0
    looks: int = 0
    seen: int = 0
    trouble: str = ""

    async def look(self) -> None:
        self.looks += 1
        try:
            found = await _probe(self.ctx, self.job, self.host)
        except Unreachable as error:
            # A host that cannot be asked says nothing about the release.
            self.trouble = str(error)
            return
        try:
            await self._count()
        except TurnoutError as error:
            self.trouble = str(error)
        if found.verdict == "good":
            self.seen += 1
            self.bad = 0
        elif found.verdict == "bad":
            self.seen += 1
            self.bad += 1
            if self.bad >= BAD_IN_A_ROW:
                demand_good(found, f"became unhealthy on {self.host}", self.job.revision.release)
        else:
            self.trouble = found.reason
        self._judge_errors()

    def demand_seen(self) -> None:
        if not self.seen:
            raise Unreachable(
                "The release could not be watched",
                subject=self.host,
                why=self.trouble or "nothing answered",
            )

    async def _count(self) -> None:
        report = await self.ctx.fleet.call(
            self.host, lambda driver: driver.traffic(self.job.scope), service=ROUTER
        )
        for row in report.revisions:
            if row.revision != self.job.revision.revision:
                continue
            now = (row.requests, row.by_class.get("5xx", 0))
            if self.start is None or now[0] < self.start[0]:
                # First look, or the router was restarted and counts from zero.
                self.start = now
            self.requests = now[0] - self.start[0]
            self.errors = now[1] - self.start[1]

    def _judge_errors(self) -> None:
        rollout = self.job.intent.rollout
        if self.requests < rollout.verify_min_requests:
            return
        rate = self.errors / self.requests
        if rate > rollout.verify_max_error_rate:
            raise NotGood(
                f"Release {self.job.revision.release[:12]} answers live requests with errors",
                subject=self.host,
                why=f"{self.errors} of {self.requests} answers were 5xx, allowed are "
                f"{rollout.verify_max_error_rate:.1%}",
                next_step="Mend the release and deploy again.",
                facts={"final": True, "requests": self.requests, "errors": self.errors},
            )


async def _probe(
    ctx: Context, job: Job, host: str, *, through_router: bool = False
) -> wire.ProbeResult:
    health = job.intent.component.health
    wanted = wire.ProbeWanted(
        scope=job.scope,
        revision=job.revision.revision,
        path=health.path,
        expect=health.expect,
        timeout=health.timeout,
        through_router=through_router,
    )
    try:
        return await ctx.fleet.call(
            host, lambda driver: driver.probe(wanted), health.timeout + 10.0
        )
    except Unreachable:
        raise
    except TurnoutError as error:
        return wire.ProbeResult(verdict="unavailable", reason=str(error))
