"""The kinds of scenes besides a deployment that succeeds: undone, called off, rolled back."""

from __future__ import annotations

import asyncio

from tests.chaos.scenes import END_S, ENDED, SETTLE_S, Scene
from tests.stand.projects import client_of
from tests.stand.waiting import eventually_async
from turnout.domain.steps import Action
from turnout.wire.api import ActRequest, RollbackRequest


class Rollback(Scene):
    """A rollback by hand from the newest release to the one before; where it is kept warm, warm."""

    adds = False

    async def set_up(self) -> None:
        query = "select live, (select max(id) from history where project = ?) as newest from scopes"
        name = self.project.name
        row = self.stand.query(f"{query} where project = ?", name, name)[0]
        if row["live"] != row["newest"]:
            await self.to_end(await asyncio.to_thread(self._back_to, 0))
        if self.project.settings["rollout.keep_warm"] == '"0s"':
            await eventually_async(self._one_runs, SETTLE_S, "the release before goes on running")

    def act(self) -> str:
        return self._back_to(1)

    def _one_runs(self) -> bool:
        place = f"/apps/{self.project.name}/"
        return sum(place in found.place for found in self.stand.processes()) == 1

    def _back_to(self, steps: int) -> str:
        """Start a rollback to the newest release but *steps*; return its identifier."""
        rows = self.stand.query(
            "select release from history where project = ? order by id desc", self.project.name
        )
        request = RollbackRequest(
            project=self.project.name, environment="production", to=rows[steps]["release"]
        )
        with client_of(self.stand) as client:
            client.first_contact = 60.0
            return str(client.post("/rollbacks", request)["id"])


class Bad(Scene):
    """A release that turns bad once it has traffic, so that everything is undone."""

    def prepare(self) -> None:
        super().prepare()
        self.project.turn_bad()


class Aborted(Scene):
    """A deployment that is called off while its traffic is watched."""

    def prepare(self) -> None:
        super().prepare()
        self.project.set(rollout_verify='"600s"')

    async def while_it_runs(self, deployment: str) -> None:
        query = "select 1 from steps where deployment = ? and action = ? and status = ?"
        await eventually_async(
            lambda: self.stand.query(query, deployment, Action.VERIFY.value, "running"), END_S
        )
        await asyncio.to_thread(self._abort, deployment)

    def _abort(self, deployment: str) -> None:
        with client_of(self.stand) as client:
            client.first_contact = 60.0
            client.post(f"/deployments/{deployment}/abort", ActRequest(reason="a test"))


class FirstBad(Scene):
    """The first release of a project turns bad: nothing may be left of it."""

    _number = 0

    def prepare(self) -> None:
        self.project.turn_bad()

    def act(self) -> str:
        FirstBad._number += 1
        self.project.rename(f"first-{FirstBad._number}")
        return super().act()

    async def while_it_runs(self, deployment: str) -> None:
        # It has no load of its own before it is there; its first visitor makes it turn bad.
        while self.state(deployment) not in ENDED:
            await asyncio.to_thread(self.stand.ask, "/", f"{self.project.name}.localhost")
            await asyncio.sleep(0.02)
