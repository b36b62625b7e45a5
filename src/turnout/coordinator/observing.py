"""An observer: follows each second of a scope for a hold, judges it, and keeps what was seen."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from turnout.base import clock
from turnout.coordinator import judging
from turnout.coordinator.looks import Desk
from turnout.coordinator.metering import Meters
from turnout.domain.splits import baseline_weight
from turnout.monitoring.ticks import Arm, SecondOf
from turnout.strategies.moves import Seen
from turnout.wire.evidence import VerdictDocument

SILENCE_S = 3.0
"""When no second came for so long, nobody collects: that is unavailable, not zero."""

KEPT_EVERY_S = 2.0
_MINUTE = 60


class Observer:
    """Sees what a hold sees; one for each look, over the state that looks share.

    Attributes:
        state: What is kept between looks, as plain JSON.
        fresh: Whether this is the first look.
        interrupted: Somebody wants the deployment paused or aborted.
        promoted_by: Who wants it to go on now.
        verdict: The judge's last.
    """

    def __init__(self, desk: Desk, state: dict[str, Any]) -> None:
        self._desk = desk
        self.state = state
        self.fresh = "since" not in state
        self.interrupted = False
        self.promoted_by = ""
        self.verdict = VerdictDocument(verdict="unknown")
        self._points: list[dict[str, Any]] = []
        self._seconds: asyncio.Queue[SecondOf] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._kept = clock.monotonic()
        self._moment = clock.monotonic()
        self._meters = Meters(desk, state)

    @classmethod
    async def open(cls, desk: Desk) -> Self:
        """Return an observer that goes on from what was kept."""
        observer = cls(desk, await asyncio.to_thread(desk.book.state))
        if observer.fresh:
            past = await asyncio.to_thread(observer._past) if desk.args.get("history") else None
            observer.state |= {
                "since": clock.now().isoformat(),
                "elapsed": 0.0,
                "requests": 0,
                "recent": [],
                "judge": judging.begin(desk.job, desk.args, past),
            }
            await observer.keep()
        observer.verdict = judging.verdict(observer.state["judge"])
        return observer

    @staticmethod
    async def suspend(desk: Desk) -> None:
        """Forget where the following stood: what comes until the next look is left out."""
        state = await asyncio.to_thread(desk.book.state)
        if state.get("after") is not None:
            await asyncio.to_thread(desk.book.keep, {**state, "after": None})

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._follow())
        self._moment = clock.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._pump is not None
        self._pump.cancel()
        await asyncio.wait({self._pump})
        await self._meters.close()
        if self.interrupted:
            self.state["after"] = None
        await self.keep()

    @property
    def confidence(self) -> float:
        """How sure it is that the candidate harms nobody, 0 to 1."""
        return judging.confidence(self.verdict)

    @property
    def requests_per_minute(self) -> float:
        """What the whole environment answered in the last minute."""
        recent = self.state["recent"]
        return 60.0 * sum(recent) / len(recent) if recent else 0.0

    async def next(self) -> Seen:
        """Wait for the next second, judge it, and return what was seen so far.

        When somebody asks something meanwhile, return at once; the second is judged later.
        """
        second, called = await self._second()
        row = await self._desk.row()
        self.interrupted = row["control"] != "go" or self._desk.alarm.is_set()
        self.promoted_by = row["promoted_by"]
        now = clock.monotonic()
        self.state["elapsed"] += now - self._moment
        self._moment = now
        if not self.interrupted and not called:
            await self._judge(second)
        return Seen(
            elapsed=self.state["elapsed"],
            requests=self.state["requests"],
            verdict=self.verdict.verdict,
            reason=self.verdict.reason,
            trusted=judging.trusted(self.verdict),
            promoted_by=self.promoted_by,
        )

    async def decide(self, what: str, reason: str, by: str = "turnout") -> None:
        """Write down a decision."""
        await asyncio.to_thread(
            self._desk.book.decide, what, self._weight(), self.verdict.verdict, reason, by
        )

    async def keep(self) -> None:
        """Keep what was seen, so that a crash loses two seconds of it at most."""
        points, self._points = self._points, []
        self._kept = clock.monotonic()
        await asyncio.to_thread(self._desk.book.keep, self.state, points)

    async def _second(self) -> tuple[SecondOf | None, bool]:
        """Return the next second, None if none came; and whether somebody asks something."""
        if not self._seconds.empty():
            return self._seconds.get_nowait(), False
        bell = self._desk.bell
        coming = asyncio.ensure_future(self._seconds.get())
        others = [asyncio.ensure_future(one.wait()) for one in (self._desk.alarm, bell)]
        try:
            await asyncio.wait(
                {coming, *others}, timeout=SILENCE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if coming.done():
                return coming.result(), False
            called = bell.is_set()
            bell.clear()
            return None, called
        finally:
            for one in (coming, *others):
                one.cancel()

    async def _judge(self, second: SecondOf | None) -> None:
        args, state = self._desk.args, self.state
        weight = self._weight()
        available = second is not None and second.available
        candidate = second.arm(args["candidate"]) if second else Arm()
        control = second.arm(args["control"]) if second and args["control"] else Arm()
        before = self.verdict.verdict
        state["judge"] = judging.observe(
            state["judge"],
            available=available,
            candidate=candidate,
            control=control,
            weights=(weight, self._control_weight()),
            metrics=await self._meters.read(),
        )
        self.verdict = judging.verdict(state["judge"])
        if second is not None:
            state["after"] = second.at
            state["requests"] += candidate.requests
            total = sum(arm.requests for arm in second.arms.values())
            state["recent"] = [*state["recent"], total][-_MINUTE:]
        self._points.append(self._point(second, candidate, control, weight, available))
        if self.verdict.verdict != before:
            await self._tell_change()
        if clock.monotonic() - self._kept >= KEPT_EVERY_S:
            await self.keep()

    def _point(
        self,
        second: SecondOf | None,
        candidate: Arm,
        control: Arm,
        weight: int,
        available: bool,
    ) -> dict[str, Any]:
        return {
            "at": second.at if second else clock.now().timestamp(),
            "w": weight,
            "cw": self._control_weight(),
            "ok": available,
            "c": [candidate.requests, candidate.errors, candidate.latency],
            "k": [control.requests, control.errors, control.latency],
            "le": judging.log_e(self.verdict),
            "v": self.verdict.verdict,
            **self._meters.point(),
        }

    async def _tell_change(self) -> None:
        verdict = self.verdict

        def tell() -> None:
            ledger = self._desk.ctx.ledger
            with ledger.database.transaction() as connection:
                ledger.tell(
                    connection,
                    ledger.row_in(connection, self._desk.job.id),
                    "verdict.changed",
                    step=self._desk.position,
                    verdict=verdict.verdict,
                    reason=verdict.reason,
                )

        await asyncio.to_thread(tell)

    def _weight(self) -> int:
        return int(self.state.get("weight", self._desk.args.get("weight", 0)))

    def _control_weight(self) -> int:
        args = self._desk.args
        if "control_weight" in args:
            return int(args["control_weight"])
        weight = self._weight()
        split = args.get("split") or {}
        return baseline_weight(weight) if split.get("baseline") else 100 - weight

    def _past(self) -> dict[str, Any] | None:
        """Return what the control answered before it lost its traffic."""
        return judging.past(
            self._desk.ctx.series,
            self._desk.job.scope,
            self._desk.args["control"],
            clock.now().timestamp() - judging.HISTORY_S,
        )

    async def _follow(self) -> None:
        job = self._desk.job
        hosts = job.intent.hosts or self._desk.ctx.fleet.names
        async for second in self._desk.ctx.ticks.follow(
            job.scope, hosts, after=self.state.get("after")
        ):
            await self._seconds.put(second)
