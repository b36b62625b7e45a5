"""Housekeeping takes what has served its time, and nothing that is still under way."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from dbos import DBOS

from tests.coordinator.rig import Rig
from turnout.coordinator import housekeeping
from turnout.monitoring.events import EventLog

pytestmark = pytest.mark.anyio
NOTHING = timedelta(seconds=-1)
"""Keep what ends in a second's time: that is, keep nothing that is there now."""


async def test_checkpoints_and_events_go_and_the_history_stays(rig: Rig) -> None:
    first = await rig.run("one")
    engine = rig.coordinator._engine
    # The deployment tells of its end a moment before its workflow returns.
    with anyio.fail_after(10):
        while not await engine.ended(first.id):  # noqa: ASYNC110 - the engine rings no bell
            await anyio.sleep(0.01)
    last = rig.events.last_seq()
    assert last > 0

    workflows, events = await housekeeping.clean(engine, rig.events, NOTHING, NOTHING)

    assert workflows == 1
    assert events == last
    assert not await engine.known(first.id)
    assert (await rig.coordinator.show(first.id)).status == "succeeded"
    # The next one works, and numbers go on where they were.
    assert (await rig.run("two")).status == "succeeded"
    assert EventLog(rig.database).after(0)[0].seq == last + 1


async def test_what_is_young_stays(rig: Rig) -> None:
    first = await rig.run("one")
    engine = rig.coordinator._engine
    assert await housekeeping.clean(engine, rig.events) == (0, 0)
    assert await engine.known(first.id)


async def test_a_deployment_whose_first_workflow_is_forgotten_is_still_known(rig: Rig) -> None:
    first = await rig.run("one")
    engine = rig.coordinator._engine
    assert await engine.start_again(first.id) == 1
    await DBOS.delete_workflow_async(first.id)
    assert await engine.known(first.id)
