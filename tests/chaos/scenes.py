"""Scenes: one way in which an environment is moved, to be played again and again under attack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from load import Load, Report, Target
from tests.stand import snapshot
from tests.stand.projects import Project, client_of
from tests.stand.snapshot import Snapshot
from tests.stand.stand import Stand
from turnout.domain.steps import Action

ENDED = ("succeeded", "failed", "rolled_back", "aborted", "rejected")
_FILLING = 4
"""Deployments until a site keeps all that it ever will: its bridge reaches three back."""
END_S = 90.0
"""What a deployment may take that is killed at every step."""
SETTLE_S = 25.0
"""What may pass until nothing is left over: drains, the sweeper, restarts."""
CLOCKS_S = 0.02
"""How far the clocks of events and of the load may be apart."""
MOMENTS = ("before", "inside", "after")
TOLD_ONCE = (
    *("deployment.queued", "deployment.started", "deployment.planned", "deployment.finished"),
    *("phase.started", "phase.finished", "step.done", "step.undone", "rollback.started"),
)
"""Events that tell of something that happens once, however often its doing is interrupted."""


@dataclass(frozen=True)
class Played:
    """One play of a scene.

    Attributes:
        deployment: Its identifier.
        faults: In what it differs from an undisturbed play; empty if in nothing.
    """

    deployment: str
    status: str
    faults: list[str]
    seconds: float


@dataclass
class Scene:
    """One way in which an environment is moved.

    Attributes:
        project: What is deployed.
        status: How it ends.
        agent_operations: What the agent does in it, as its failpoints are called.
        undone: Whether the kill points are those of the undos, not of the steps.
        settle_s: What may pass after a play until nothing is left over.
    """

    stand: Stand
    name: str
    project: Project
    status: str
    agent_operations: tuple[str, ...]
    undone: bool = False
    settle_s: float = SETTLE_S
    baseline: Snapshot = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    plan: list[dict[str, Any]] = field(default_factory=list)
    learning_load: Callable[[Scene], Load] | None = None
    """Load while it is learned, for scenes that nothing happens in without visitors."""

    # What differs from scene to scene

    def prepare(self) -> None:
        """Bring the environment to where the scene can be played again and again."""
        for _ in range(2):
            self.project.change()
            self.deploy()

    def act(self) -> str:
        """Begin; return the identifier of what was started."""
        self.project.change()
        return self.begin()

    async def while_it_runs(self, deployment: str) -> None:
        """Do what belongs to the scene while the deployment is under way."""

    async def set_up(self) -> None:
        """Bring the environment from the end of one play to the beginning of the next."""

    # What is the same in all

    def begin(self) -> str:
        """Start a deployment of the project as it is; return its identifier."""
        request = self.project.request(self.stand)
        with client_of(self.stand) as client:
            client.first_contact = 60.0
            return str(client.post("/deployments", request)["id"])

    def deploy(self) -> None:
        """Deploy the project as it is, undisturbed."""
        deployment = self.begin()
        until = time.monotonic() + END_S
        while (status := self.state(deployment)) not in ENDED:
            assert time.monotonic() < until, self.stand.logs()
            time.sleep(0.02)
        assert status == "succeeded", self.why(deployment)

    async def learn(self) -> None:
        """Play it undisturbed; what it looks like then is what it has to look like ever after.

        The first plays let the environment fill up to what it keeps; two equal ones after them
        show that a play leaves no more behind than the one before.
        """
        await asyncio.to_thread(self.prepare)
        async with contextlib.AsyncExitStack() as stack:
            if self.learning_load is not None:
                await stack.enter_async_context(self.learning_load(self))
            await self._learn()

    async def _learn(self) -> None:
        for _ in range(_FILLING):
            await self.set_up()
            await self.to_end(await asyncio.to_thread(self.act))
        await self.set_up()
        deployment = await asyncio.to_thread(self.act)
        assert await self.to_end(deployment) == self.status, self.why(deployment)
        row = self.stand.query("select plan from deployments where id = ?", deployment)[0]
        self.plan = json.loads(row["plan"])["steps"]
        self.told = self._told(deployment)
        self.baseline = await self._settled()
        again = await self.play({})
        assert again.faults == [], f"undisturbed plays of {self.name} differ: {again.faults}"

    async def play(self, points: Mapping[str, str]) -> Played:
        """Play it with a failpoint file; return how it differs from an undisturbed play.

        Args:
            points: Failpoint names to their actions.
        """
        self.arm({})
        await self.set_up()
        self.arm(points)
        # What an earlier play left behind is that play's fault.
        for package in (self.stand.data / "store" / self.project.name / "packages").glob("*"):
            package.unlink()
        begun = time.monotonic()
        deployment = ""
        try:
            deployment = await asyncio.to_thread(self.act)
            status = await self.to_end(deployment)
            faults = [f"never reached: {name}" for name in points if not self.reached(name)]
            faults += await self._compare(deployment, status)
        finally:
            self.arm({})
        return Played(deployment, status, faults, time.monotonic() - begun)

    def late(self, played: Played, report: Report) -> list[str]:
        """Return what the release answered after its traffic was taken back, for the record."""
        query = (
            "select e.at, d.release from events e join deployments d on d.id = e.deployment "
            "where d.id = ? and e.kind = 'step.undone' and json_extract(e.data, '$.action') = ? "
            # Several weights are taken back newest first; with the last it has no traffic left.
            "order by e.seq desc limit 1"
        )
        rows = self.stand.query(query, played.deployment, Action.SWITCH.value)
        if not rows:
            return []
        at = datetime.fromisoformat(rows[0]["at"]).timestamp() - time.time() + time.monotonic()
        answered = [
            record
            for record in report.of(target=self.name).records
            if record.start > at + CLOCKS_S and record.release == rows[0]["release"]
        ]
        return [f"answered {len(answered)} requests after the switch back"] if answered else []

    def points(self, moment: str) -> list[str]:
        """Return every failpoint of the server in this scene at *moment*, from the plan."""
        if self.undone:
            switch = [step["action"] for step in self.plan].index(Action.VERIFY)
            return [
                f"server.undo.{position}-{step['undo']['action']}.{moment}"
                for position, step in enumerate(self.plan[:switch])
                if step["undo"] is not None
            ]
        return [
            f"server.step.{position}-{step['action']}.{moment}"
            for position, step in enumerate(self.plan)
        ]

    def arm(self, points: Mapping[str, str]) -> None:
        """Set the failpoints, and forget which were reached."""
        file = self.stand.failpoints
        file.unlink(missing_ok=True)
        for marker in file.parent.glob(f"{file.name}.*.done"):
            marker.unlink()
        if points:
            file.write_text("".join(f"{name}={action}\n" for name, action in points.items()))

    def reached(self, name: str) -> bool:
        """Return whether a failpoint has acted."""
        return Path(f"{self.stand.failpoints}.{name}.done").exists()

    def target(self) -> Target:
        """Return what the load asks for."""
        static = self.project.static
        return Target(
            "127.0.0.1",
            self.stand.http_port,
            host=f"{self.project.name}.localhost",
            name=self.name,
            upload_path="" if static else "/upload",
            stream_path="" if static else "/events",
            check=lambda answer: "" if b"version-" in answer.body else "not the page",
        )

    def state(self, deployment: str) -> str:
        """Return the status of a deployment, also while no server runs."""
        rows = self.stand.query("select status from deployments where id = ?", deployment)
        return str(rows[0]["status"]) if rows else ""

    def why(self, deployment: str) -> str:
        """Return what is known of how a deployment went, for failing tests."""
        rows = self.stand.query("select * from deployments where id = ?", deployment)
        steps = self.stand.query(
            "select position, action, status, attempts, error from steps where deployment = ? "
            "order by position",
            deployment,
        )
        lines = [f"{self.name}: {row['status']} in {row['phase']}: {row['reason']}" for row in rows]
        lines += [" ".join(str(value) for value in step.values()) for step in steps]
        return "\n".join([*lines, self.stand.logs()])

    async def to_end(self, deployment: str) -> str:
        """Wait for the end of a deployment; return how it ended."""
        beside = asyncio.create_task(self.while_it_runs(deployment))
        try:
            until = time.monotonic() + END_S
            while (status := self.state(deployment)) not in ENDED:
                assert time.monotonic() < until, f"it never ended: {self.why(deployment)}"
                await asyncio.sleep(0.02)
            await beside
        finally:
            beside.cancel()
        return status

    async def _compare(self, deployment: str, status: str) -> list[str]:
        faults = []
        if status != self.status:
            faults.append(f"ended as {status}, not {self.status}: {self.why(deployment)}")
        told = self._told(deployment)
        for event in told.keys() | self.told.keys():
            if told[event] != self.told[event]:
                faults.append(f"told {told[event]} times, not {self.told[event]}: {event}")
        rows = self.stand.query("select seq from events order by seq")
        if [row["seq"] for row in rows] != list(range(1, len(rows) + 1)):
            faults.append("the numbers of the events have gaps")
        entries = self.stand.query("select id from history where deployment = ?", deployment)
        if len(entries) != (1 if self.adds else 0):
            faults.append(f"{len(entries)} rows of history")
        found = await self._settled(self.baseline)
        return faults + snapshot.differences(self.baseline, found)

    @property
    def adds(self) -> bool:
        """Whether it adds an entry to the history."""
        return self.status == "succeeded"

    async def _settled(self, wanted: Snapshot | None = None) -> Snapshot:
        """Return the environment once it is as wanted, or once it stays the same for long."""
        until = time.monotonic() + self.settle_s
        before: Snapshot = {}
        same = 0
        while True:
            found = await snapshot.take(self.stand, self.project.name)
            same = same + 1 if found == before else 0
            before = found
            if found == wanted or (wanted is None and same >= 20):
                return found
            if time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)

    def _told(self, deployment: str) -> Counter[str]:
        rows = self.stand.query("select kind, data from events where deployment = ?", deployment)
        told: Counter[str] = Counter()
        for row in rows:
            data = json.loads(row["data"])
            if row["kind"] in TOLD_ONCE:
                about = [data.get("step"), data.get("phase"), data.get("status")]
                told[" ".join([row["kind"], *(str(one) for one in about if one is not None)])] += 1
        return told


def armed(points: Iterable[str], victim: str) -> dict[str, str]:
    """Return failpoints at which *victim* (``server``, ``agent``, ``both``) is killed."""
    action = {"server": "kill", "agent": "kill-agent", "both": "kill-both"}[victim]
    return dict.fromkeys(points, action)
