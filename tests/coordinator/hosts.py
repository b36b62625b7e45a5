"""A fake host that waits at a gate when a test wants it to, and whose state can be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fakes.host import FakeHost
from turnout.packages.manifest import parse
from turnout.wire import agent as wire


class GatedHost(FakeHost):
    """See :class:`FakeHost`.

    Attributes:
        keep: Called after every call that may have changed something.
        failing: Revisions of which half of the live requests end in a server error.
    """

    def __init__(self, name: str = "local") -> None:
        super().__init__(name)
        self.keep: Callable[[], Any] = lambda: None
        self.failing: set[str] = set()
        self._asked = 0
        self._gates: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}

    def shut(self, method: str) -> asyncio.Event:
        """Hold every call of *method* until :meth:`open`; return the event of the first."""
        self._gates[method] = asyncio.Event()
        self._reached[method] = asyncio.Event()
        return self._reached[method]

    @property
    def gates(self) -> tuple[str, ...]:
        """The methods that wait."""
        return tuple(self._gates)

    def open(self, method: str) -> None:
        """Let the calls of *method* go on."""
        self._gates.pop(method).set()

    def picture(self) -> dict[str, Any]:
        """Return everything that a deployment may change, to be compared."""
        state = self.state()
        state["claims"] = {scope: held for scope, held in state["claims"].items() if held}
        state["bridges"] = {scope: held for scope, held in state["bridges"].items() if held}
        return state

    def state(self) -> dict[str, Any]:
        """Return everything that outlives the agent as plain JSON."""
        return {
            "releases": {k: v.canonical.hex() for k, v in sorted(self.releases.items())},
            "claims": {scope: sorted(held) for scope, held in self.claims.items()},
            "sites": [_json(self.sites[key]) for key in sorted(self.sites)],
            "bridges": {scope: list(held) for scope, held in self.bridges.items()},
            "instances": [_json(self.instances[key]) for key in sorted(self.instances)],
            "routes": [_routes(self.routes[scope]) for scope in sorted(self.routes)],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be what :meth:`state` described."""
        self.releases = {k: parse(bytes.fromhex(v)) for k, v in state["releases"].items()}
        for scope, held in state["claims"].items():
            self.claims[scope] = set(held)
        for one in (wire.SiteWanted.model_validate(site) for site in state["sites"]):
            self.sites[one.scope, one.revision] = one
        self.bridges = {scope: tuple(held) for scope, held in state["bridges"].items()}
        for each in (wire.InstanceWanted.model_validate(found) for found in state["instances"]):
            self.instances[each.scope, each.revision, each.index] = each
        for routes in (wire.RoutesWanted.model_validate(found) for found in state["routes"]):
            self.routes[routes.scope] = routes

    async def traffic(self, scope: str) -> wire.TrafficReport:
        self._asked += 1
        requests = 50 * self._asked
        for revision in self.failing:
            by_class = {"2xx": requests // 2, "5xx": requests // 2}
            self.counted[revision] = {"requests": requests, "by_class": by_class}
        return await super().traffic(scope)

    async def stage(self, trust: wire.Trust, package: Any) -> wire.Staged:
        return await self._kept(super().stage(trust, package))

    async def ensure_site(self, wanted: wire.SiteWanted) -> None:
        await self._kept(super().ensure_site(wanted))

    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        await self._kept(super().bridge(wanted))

    async def ensure_instance(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        return await self._kept(super().ensure_instance(wanted))

    async def remove_instances(self, gone: wire.InstanceGone) -> None:
        await self._kept(super().remove_instances(gone))

    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        return await self._kept(super().route(wanted))

    async def unroute(self, scope: str) -> None:
        await self._kept(super().unroute(scope))

    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        return await self._kept(super().prune(wanted))

    async def _kept(self, work: Any) -> Any:
        answer = await work
        self.keep()
        return answer

    async def _called(self, method: str) -> None:
        gate = self._gates.get(method)
        if gate is not None:
            self._reached[method].set()
            await gate.wait()
        await super()._called(method)


def bad(reason: str = "it answers 500") -> wire.ProbeResult:
    """Return a bad verdict."""
    return wire.ProbeResult(verdict="bad", reason=reason, status=500, log_tail=("Error: no",))


def _json(message: wire.SiteWanted | wire.InstanceWanted) -> dict[str, Any]:
    return message.model_dump(mode="json")


def _routes(wanted: wire.RoutesWanted) -> dict[str, Any]:
    found = wanted.model_dump(mode="json")
    found["revisions"].sort(key=lambda route: route["revision"])
    found["weights"] = {name: weight for name, weight in found["weights"].items() if weight}
    return found
