"""Metrics that commands measure: named so that every host takes it, and not waited for in vain."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from turnout.coordinator import commanding
from turnout.coordinator.job import Job
from turnout.coordinator.looks import Desk
from turnout.coordinator.metering import Meters
from turnout.domain.facts import Revision
from turnout.domain.phases import Kind
from turnout.wire.agent import CommandResult, CommandWanted
from turnout.wire.project import Component, Intent, Rollout, RunSpec
from turnout.wire.rollout import AnalysisSpec, MetricSpec

pytestmark = pytest.mark.anyio
APP = Component(run=RunSpec(command=("serve",)))
RELEASE = "a" * 64
METRIC = MetricSpec(name="m" * 63, source="command", command=("measure",), max=1)


def desk() -> Desk:
    rollout = Rollout(analysis=AnalysisSpec(metrics=(METRIC,)))
    job = Job(
        id="dep-01k3y6p0qsx8m4abcd",
        kind=Kind.DEPLOYMENT,
        project="shop",
        environment="production",
        revision=Revision(APP.revision(RELEASE), RELEASE, static=False, instances=1),
        intent=Intent(project="shop", environment="production", component=APP, rollout=rollout),
    )
    return Desk(ctx=cast(Any, None), job=job, position=123, digest="", args={})


async def test_a_hold_that_ends_waits_for_no_command_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def never(id: str, command: tuple[str, ...], timeout: float) -> CommandResult:
        wanted = CommandWanted(
            scope="shop/production",
            id=id,
            revision=APP.revision(RELEASE),
            release=RELEASE,
            command=command,
        )
        asked.append(wanted.id)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError("unreachable")

    monkeypatch.setattr(commanding, "runner", lambda _desk: never)
    state: dict[str, Any] = {}
    async with asyncio.timeout(10):
        for look in range(2):
            meters = Meters(desk(), state)
            begun.clear()
            given_up.clear()
            await meters.read()
            await begun.wait()
            await meters.close()
            assert given_up.is_set(), look
    # The second look asked for the same run, unless the first was cut before it knew of it.
    assert len(set(asked)) == 1
