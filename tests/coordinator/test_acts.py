"""Every word in every state: what it does, or the one clear refusal, and no change with it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.coordinator.hosts import bad
from tests.coordinator.rig import APP, Rig
from turnout.base.errors import Conflict, Failed, NotFound, Unreachable
from turnout.coordinator import attempts
from turnout.coordinator.tables import deployments
from turnout.domain.retry import RetryPolicy

pytestmark = pytest.mark.anyio

STATES = ("queued", "running", "paused", "retrying", "undoing", "cleanup", "ended")
REFUSED = {
    ("queued", "resume"),
    ("queued", "retry"),
    ("running", "resume"),
    ("running", "retry"),
    ("paused", "retry"),
    ("retrying", "resume"),
    ("undoing", "pause"),
    ("undoing", "resume"),
    ("undoing", "abort"),
    ("cleanup", "pause"),
    ("cleanup", "resume"),
    ("cleanup", "abort"),
    ("cleanup", "retry"),
    ("ended", "pause"),
    ("ended", "resume"),
    ("ended", "abort"),
}
ENDS = {
    "pause": "succeeded",
    "resume": "succeeded",
    "abort": "aborted",
    "retry": "succeeded",
}


async def _bring(rig: Rig, state: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bring a deployment into a state; what it waits for is a gate of the host."""
    await rig.run("one")
    host, release = rig.host, rig.release("two")
    if state == "queued":
        reached = host.shut("await_ready")
        await rig.deploy(rig.release("before"))
        await reached.wait()
        return await rig.deploy(release)
    if state == "ended":
        return (await rig.run("two")).id
    if state == "retrying":
        monkeypatch.setattr(attempts, "RETRIES", RetryPolicy(5, 60.0, 60.0))
        host.fail("await_ready", error=Unreachable("It does not answer"))
        deployment = await rig.deploy(release)
        await rig.until(deployment, "step.retry")
        return deployment
    if state == "undoing":
        host.verdicts[APP.revision(release)] = bad()
        reached = host.shut("remove_instances")
    elif state == "cleanup":
        reached = host.shut("prune")
    else:
        reached = host.shut("await_ready")
    deployment = await rig.deploy(release)
    await reached.wait()
    if state == "paused":
        await rig.coordinator.act(deployment, "pause", "lunch", "ada")
        host.open("await_ready")
        await rig.until(deployment, "deployment.paused")
    return deployment


async def _finish(rig: Rig, deployment: str, state: str, verb: str) -> str:
    """Let everything go on, and return how the deployment ended."""
    for method in [*rig.host.gates]:
        rig.host.open(method)
    if (verb == "pause" or (state == "paused" and verb not in ("resume", "abort"))) and (
        state,
        verb,
    ) not in {(s, v) for s, v in REFUSED if s != "paused"}:
        await rig.until(deployment, "deployment.paused")
        await rig.coordinator.act(deployment, "resume", "", "ada")
    if state == "retrying" and verb not in ("retry", "abort", "pause"):
        await rig.coordinator.act(deployment, "retry", "", "ada")
    return (await rig.ended(deployment)).status


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "retry"])
@pytest.mark.parametrize("state", STATES)
async def test_every_word_in_every_state(
    rig: Rig, state: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await _bring(rig, state, monkeypatch)
    before = rig.ctx.ledger.row(deployment)
    told = len(rig.told(deployment))

    if (state, verb) in REFUSED:
        with pytest.raises(Conflict):
            await rig.coordinator.act(deployment, verb, "why not", "ada")  # type: ignore[arg-type]
        assert rig.ctx.ledger.row(deployment)["control"] == before["control"]
        assert not [e for e in rig.told(deployment)[told:] if e.kind.endswith("_asked")]
    else:
        answer = await rig.coordinator.act(deployment, verb, "why not", "ada")  # type: ignore[arg-type]
        if state == "ended":
            assert answer.id != deployment
            deployment = answer.id

    status = await _finish(rig, deployment, state, verb)
    if state == "undoing":
        assert status == "failed"
    elif (state, verb) in REFUSED:
        assert status == "succeeded"
    else:
        assert status == ENDS[verb]
    assert rig.ctx.ledger.row(deployment)["finished_at"] is not None


async def test_an_abort_cuts_off_a_long_step_and_undoes_everything(rig: Rig) -> None:
    await rig.run("one")
    before = rig.picture()
    reached = rig.host.shut("await_ready")
    deployment = await rig.deploy(rig.release("two"))
    await reached.wait()
    await rig.coordinator.act(deployment, "abort", "wrong button", "ada")

    # The gate is still shut: nothing but the abort ends the step.
    found = await rig.ended(deployment)
    assert found.status == "aborted"
    assert "wrong button" in found.reason
    assert rig.picture() == before


async def test_an_abort_at_the_last_moment_comes_before_the_confirmation_or_is_refused(
    rig: Rig,
) -> None:
    await rig.run("one")
    before = rig.picture()
    # The probe through the router is the verification; its answer comes as the abort does.
    reached = rig.host.shut("probe")
    deployment = await rig.deploy(rig.release("two"), checks=())
    await reached.wait()
    rig.host.open("probe")
    try:
        await rig.coordinator.act(deployment, "abort", "", "ada")
    except Conflict:
        assert (await rig.ended(deployment)).status == "succeeded"
    else:
        assert (await rig.ended(deployment)).status == "aborted"
        assert rig.picture() == before


async def test_a_pause_during_the_verification_holds_before_the_confirmation(rig: Rig) -> None:
    one = await rig.run("one")
    reached = rig.host.shut("probe")
    deployment = await rig.deploy(rig.release("two"))
    await reached.wait()
    await rig.coordinator.act(deployment, "pause", "", "ada")
    rig.host.open("probe")
    await rig.until(deployment, "deployment.paused")

    found = await rig.coordinator.environment("shop", "production")
    assert found.live_release == one.release
    await rig.coordinator.act(deployment, "abort", "", "ada")
    assert (await rig.ended(deployment)).status == "aborted"
    assert rig.host.routes["shop/production"].weights == {APP.revision(one.release): 100}


async def test_a_pause_that_lasts_too_long_ends_it(rig: Rig) -> None:
    object.__setattr__(rig.ctx.settings, "pause_deadline_s", 0.2)
    reached = rig.host.shut("await_ready")
    deployment = await rig.deploy(rig.release("one"))
    await reached.wait()
    await rig.coordinator.act(deployment, "pause", "", "ada")
    rig.host.open("await_ready")

    found = await rig.ended(deployment)
    assert found.status == "aborted"
    assert "paused for more than" in found.reason


async def test_a_turn_that_never_comes_ends_it(rig: Rig) -> None:
    reached = rig.host.shut("await_ready")
    await rig.deploy(rig.release("one"))
    await reached.wait()
    waiting = await rig.deploy(rig.release("two"))
    with rig.database.transaction() as connection:
        row = rig.ctx.ledger.row_in(connection, waiting)
        connection.execute(
            deployments.update()
            .where(deployments.c.id == waiting)
            .values(created_at=row["created_at"] - timedelta(days=2))
        )
    found = await rig.ended(waiting)
    assert found.status == "aborted"
    assert "waited too long" in found.reason
    rig.host.open("await_ready")


async def test_a_retry_now_cuts_the_backoff(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "RETRIES", RetryPolicy(5, 60.0, 60.0))
    rig.host.fail("await_ready", error=Failed("It stumbled"))
    deployment = await rig.deploy(rig.release("one"))
    await rig.until(deployment, "step.retry")
    await rig.coordinator.act(deployment, "retry", "", "ada")

    async with asyncio.timeout(10):
        assert (await rig.ended(deployment)).status == "succeeded"


async def test_attempts_are_limited_and_each_retry_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "RETRIES", RetryPolicy(3, 0.01, 0.01))
    rig.host.fail("await_ready", times=99, error=Failed("It stumbled"))
    found = await rig.run("one")

    assert found.status == "failed"
    retries = [event.data["attempt"] for event in rig.told(found.id) if event.kind == "step.retry"]
    assert retries == [1, 2]


async def test_a_step_that_takes_too_long_ends_the_deployment(rig: Rig) -> None:
    object.__setattr__(rig.ctx.settings, "attempt_deadline_s", 0.2)
    monkey = RetryPolicy(1)
    original, attempts.RETRIES = attempts.RETRIES, monkey
    try:
        rig.host.shut("await_ready")
        found = await rig.run("one")
    finally:
        attempts.RETRIES = original
    assert found.status == "failed"
    assert "took too long" in found.reason


async def test_nothing_can_be_done_to_what_is_not_there(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await rig.coordinator.act("dep-nothing", "abort", "", "ada")
    with pytest.raises(NotFound):
        await rig.coordinator.show("dep-nothing")
