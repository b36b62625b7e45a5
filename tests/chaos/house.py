"""The stand of the crash tests: one server, guarded as by systemd, with all scenes on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from load import Kind, Load, Report, Target
from tests.chaos.kinds import Aborted, Bad, FirstBad, Rollback
from tests.chaos.scenes import Scene
from tests.stand import projects
from tests.stand.stand import Stand

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
_HALF = '[{weight = 50, hold = "1s", max_hold = "1s", on_unknown = "continue"}]'
"""Traffic is split for a second; such a short look decides nothing, and it goes on."""


@dataclass(frozen=True)
class Cast:
    """What a scene is made of.

    Attributes:
        kind: How it is played.
        what: ``app`` or ``site``.
        warm: Its ``keep_warm``.
        status: How it ends.
        operations: What the agent does in it.
        settings: Further settings of its project.
        down: Whether its project does not answer for a while, so that no load is put on it.
    """

    kind: type[Scene]
    what: str
    warm: str
    status: str
    operations: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    down: bool = False


_ROLLING = {"rollout_strategy": '"rolling"', "run_instances": "2"}
_CANARY = {
    "rollout_strategy": '"canary"',
    "run_instances": "2",
    "rollout_canary": f"{{steps = {_HALF}, baseline = true, scale = true}}",
    "rollout_commands": '[{name = "note", command = ["true"]}]',
}
SCENES = {
    # What is kept warm stays so for longer than all tests take.
    # Elsewhere nothing is, so that what was live is drained and stopped by steps of the plan.
    "app succeeds": Cast(Scene, "app", '"0s"', "succeeded", (*_APP, "drain", "stop")),
    "app turns bad": Cast(Bad, "app", '"20h"', "rolled_back", ("stage", "start", "route", "stop")),
    "app rolled back": Cast(Rollback, "app", '"0s"', "succeeded", ("stage", "start", "route")),
    "site succeeds": Cast(Scene, "site", '"20h"', "succeeded", _SITE),
    "site aborted": Cast(Aborted, "site", '"20h"', "aborted", ("stage", "site", "route")),
    "site rolled back": Cast(Rollback, "site", '"20h"', "succeeded", ("stage", "bridge", "route")),
    "first turns bad": Cast(FirstBad, "app", '"20h"', "rolled_back", ("start", "unroute", "stop")),
    "app rolls": Cast(
        Scene, "app", '"0s"', "succeeded", (*_APP, "ready", "drain", "stop"), settings=_ROLLING
    ),
    "app rolls and turns bad": Cast(
        Bad, "app", '"0s"', "rolled_back", ("start", "route", "drain", "stop"), settings=_ROLLING
    ),
    "canary succeeds": Cast(
        Scene, "app", '"0s"', "succeeded", (*_APP, "drain", "stop", "command"), settings=_CANARY
    ),
    "canary turns bad": Cast(
        Bad, "app", '"20h"', "rolled_back", ("start", "route", "stop"), settings=_CANARY
    ),
    "app is recreated": Cast(
        Scene,
        "app",
        '"0s"',
        "succeeded",
        (*_APP, "drain", "stop"),
        settings={"rollout_strategy": '"recreate"', "run_exclusive": "true"},
        down=True,
    ),
}
"""Name to what it is made of."""
NOT_IN_PLANS = ("accesslog", "restart")
"""What the agent does only when somebody asks for it, tested on its own."""


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
        cast = SCENES[name]
        make = projects.app if cast.what == "app" else projects.site
        settings = {"rollout_keep_warm": cast.warm, **cast.settings}
        project = make(self.directory, name.replace(" ", "-"), **settings)
        undone = cast.status in ("rolled_back", "aborted")
        return cast.kind(self.stand, name, project, cast.status, cast.operations, undone)

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
        if scene.name != "first turns bad" and not SCENES[scene.name].down:
            targets.append(scene.target())
        return Load(targets, rate=RATE, kinds=MIX, slow_s=0.3, stream_s=0.5, timeout_s=20.0)


def failed(report: Report) -> list[str]:
    """Return what failed, one line for each kind and reason."""
    return [f"{count} × {kind}: {reason}" for (kind, reason), count in report.failures.items()]
