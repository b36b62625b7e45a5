"""One agent's rooms without processes: a router in memory, instances that are only records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.fakes.router import FakeRouter
from turnout.agent.admission import Admission
from turnout.agent.instances import Instances
from turnout.agent.launch import Record
from turnout.agent.paths import Layout
from turnout.agent.routing import Routing
from turnout.agent.trees import Trees
from turnout.packages.hosting import HostReleases
from turnout.wire import agent as wire
from turnout.wire.project import Component, RunSpec, StaticSpec

SCOPE, RELEASE = "shop/production", "a" * 64
APP = Component(run=RunSpec(command=(sys.executable,)))
SITE = Component(
    static=StaticSpec(spa=True, headers={"/assets/*": {"Cache-Control": "max-age=1", "X-A": "b"}})
)


class StubOrigin:
    address = "unix:/run/origin.sock"

    def __init__(self) -> None:
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def alive(self) -> bool:
        return self.running

    async def stop(self) -> None:
        self.running = False


class House:
    """One agent's rooms over a fake router."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory, directory)
        self.layout.make()
        self.trees = Trees(self.layout, HostReleases(self.layout.releases))
        self.instances = Instances(
            self.layout, self.trees, tell_router=lambda: self.routing.reconcile()
        )
        self.router = FakeRouter()
        self.origin = StubOrigin()
        self.restarted()

    def restarted(self) -> None:
        """Forget what was only in memory."""
        self.routing = Routing(self.layout, self.instances, self.trees, self.origin, self.router)
        self.admission = Admission(
            self.instances, self.trees, self.origin, self.routing, self.router
        )

    def record(self, component: Component, port: int, index: int = 0) -> str:
        """Write the record of an instance that nobody runs; return its revision."""
        assert component.run is not None
        revision = component.revision(RELEASE)
        wanted = wire.InstanceWanted(
            scope=SCOPE, revision=revision, release=RELEASE, index=index, run=component.run
        )
        directory = self.layout.instance(SCOPE, revision, index)
        directory.mkdir(parents=True, exist_ok=True)
        record = Record(
            wanted=wanted, address=f"127.0.0.1:{port}", port=port, attempts=0, keeper={}
        )
        (directory / "spec.json").write_text(record.model_dump_json())
        return revision

    def root(self, component: Component) -> str:
        assert component.static is not None
        revision = component.revision(RELEASE)
        self.layout.site(SCOPE, revision).mkdir(parents=True)
        wanted = wire.SiteWanted(
            scope=SCOPE, revision=revision, release=RELEASE, static=component.static
        )
        self.layout.site_record(SCOPE, revision).write_text(wanted.model_dump_json())
        return revision


def wanted(component: Component, weight: int = 100, **more: Any) -> wire.RoutesWanted:
    revision = component.revision(RELEASE)
    return wire.RoutesWanted(
        scope=more.pop("scope", SCOPE),
        domains=more.pop("domains", ("shop.localhost",)),
        weights={revision: weight} if weight else {},
        revisions=(wire.RevisionRoute(revision=revision, release=RELEASE, component=component),),
        **more,
    )
