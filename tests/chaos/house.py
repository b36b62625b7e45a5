"""The stand of the crash tests: one server, guarded as by systemd, with all scenes on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from load import Kind, Load, Report, Target
from tests.chaos.kinds import Aborted, Bad, FirstBad, Rollback
from tests.chaos.scenes import Scene
from tests.stand import projects
from tests.stand.stand import Stand
from tests.stand.waiting import eventually

RATE = 60.0
MIX = {
    Kind.KEEP_ALIVE: 0.6,
    Kind.NEW_CONNECTION: 0.3,
    Kind.SLOW_READER: 0.03,
    Kind.SLOW_UPLOAD: 0.04,
    Kind.STREAM: 0.03,
}
_APP = ("stage", "start", "route", "prune")
_SITE = ("stage", "site", "bridge", "route", "prune")
SCENES = {
    # Nothing is kept warm, so that what was live is drained and stopped by steps of the plan.
    "app succeeds": (Scene, "app", '"0s"', "succeeded", (*_APP, "drain", "stop")),
    "app turns bad": (Bad, "app", '"900s"', "rolled_back", ("stage", "start", "route", "stop")),
    "app rolled back": (Rollback, "app", '"0s"', "succeeded", ("stage", "start", "route")),
    "site succeeds": (Scene, "site", '"900s"', "succeeded", _SITE),
    "site aborted": (Aborted, "site", '"900s"', "aborted", ("stage", "site", "route")),
    "site rolled back": (Rollback, "site", '"900s"', "succeeded", ("stage", "bridge", "route")),
    "first turns bad": (FirstBad, "app", '"900s"', "rolled_back", ("start", "unroute", "stop")),
}
"""Name to class, kind of project, keep_warm, status at the end, operations of the agent."""


@dataclass
class House:
    """The stand, and the scenes that were learned so far."""

    stand: Stand
    known: dict[str, Scene] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def open(cls, **options: object) -> Iterator[House]:
        """Start a stand with a bystander on it, and end it all in the end."""
        stand = Stand(forked=True, **options)  # type: ignore[arg-type]
        try:
            stand.start()
            house = cls(stand)
            bystander = projects.site(house.directory, "bystander")
            Scene(stand, "bystander", bystander, "succeeded", ()).deploy()
            with stand.guarded():
                yield house
        finally:
            stand.end()

    @property
    def directory(self) -> Path:
        path = self.stand.base / "projects"
        path.mkdir(exist_ok=True)
        return path

    def make(self, name: str) -> Scene:
        """Return a scene that has not been learned yet."""
        kind, what, warm, status, operations = SCENES[name]
        make = projects.app if what == "app" else projects.site
        project = make(self.directory, name.replace(" ", "-"), rollout_keep_warm=warm)
        undone = status in ("rolled_back", "aborted")
        return kind(self.stand, name, project, status, operations, undone)

    async def scene(self, name: str) -> Scene:
        """Return a scene, learned when it is first asked for."""
        assert name not in self.failed, f"undisturbed: {self.failed[name]}"
        if name not in self.known:
            scene = self.make(name)
            if scene.undone and name != "first turns bad":
                scene.learning_load = self.load  # it takes visitors to turn bad
            try:
                await scene.learn()
            except AssertionError as error:
                self.failed[name] = str(error)
                raise
            self.known[name] = scene
        return self.known[name]

    def load(self, scene: Scene) -> Load:
        """Return load on the scene's project and on the bystander."""
        bystander = Target("127.0.0.1", self.stand.http_port, host="bystander.localhost")
        targets = [bystander]
        if scene.name != "first turns bad":
            targets.append(scene.target())
        return Load(targets, rate=RATE, kinds=MIX, slow_s=0.3, stream_s=0.5, timeout_s=20.0)

    def settle_server(self) -> None:
        """Wait until server and agent are up."""
        eventually(lambda: self.stand.running() and self.stand.agent_pid(), 30.0)


def failed(report: Report) -> list[str]:
    """Return what failed, one line for each kind and reason."""
    return [f"{count} × {kind}: {reason}" for (kind, reason), count in report.failures.items()]
