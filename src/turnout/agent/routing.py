"""The routing of this host: what each scope last wanted, and the router made to obey it.

The wanted routing of a scope is written down before the router is told, so that a crash in
between is completed by the next reconciliation; a refusal brings the old file back.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from turnout.agent import records, splitting
from turnout.agent.instances import Instances
from turnout.agent.paths import Layout
from turnout.agent.places import Origin, addresses, draining
from turnout.agent.trees import Trees
from turnout.base.errors import InvalidInput, NotFound
from turnout.base.failpoints import reached
from turnout.routers.port import Applied, Backend, HeaderRule, Router, Site
from turnout.wire import agent as wire


class Routing:
    """What every scope wants of the router."""

    def __init__(
        self, layout: Layout, instances: Instances, trees: Trees, origin: Origin, router: Router
    ) -> None:
        self._layout = layout
        self._instances = instances
        self._trees = trees
        self._origin = origin
        self._router = router
        self._turn = asyncio.Lock()
        self._told: list[Site] | None = None

    def wanted(self, scope: str) -> wire.RoutesWanted | None:
        """Return the routing that a scope last asked for, or None if it has none."""
        return records.read_as(self._layout.route(scope), wire.RoutesWanted)

    def all(self) -> list[wire.RoutesWanted]:
        """Return the routing of every scope."""
        found = []
        for project in records.entries(self._layout.routes):
            for path in records.entries(project):
                if path.suffix == ".json":
                    found.append(records.read_as(path, wire.RoutesWanted))
        return [routes for routes in found if routes is not None]

    def facts(self) -> tuple[wire.RouteFact, ...]:
        """Return what the router was last told of every scope."""
        return tuple(
            wire.RouteFact(
                scope=routes.scope,
                weights=dict(routes.weights),
                split=routes.split,
                mirror=routes.mirror,
            )
            for routes in self.all()
        )

    def revisions(self, scope: str, *, live: bool = False) -> set[str]:
        """Return the revisions that a scope's routing names; with *live*, those with weight."""
        routes = self.wanted(scope)
        if routes is None:
            return set()
        if live:
            return {revision for revision, weight in routes.weights.items() if weight}
        return {route.revision for route in routes.revisions}

    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        """Make *wanted* the routing of its scope; return when new requests obey it.

        Raises:
            InvalidInput: The routing contradicts itself.
            NotFound: A revision has nothing on this host that could answer.
            Failed: The router refused it or did not acknowledge; the old routing stays.
        """
        self._check(wanted)
        path = self._layout.route(wanted.scope)
        async with self._turn:
            await reached("agent.route.before")
            applied = await self._change(path, wanted)
            await reached("agent.route.after")
        return wire.RoutesApplied(version=applied.version, took_ms=round(applied.took_s * 1000, 3))

    async def unroute(self, scope: str) -> None:
        """Take a scope out of the router."""
        path = self._layout.route(scope)
        async with self._turn:
            await reached("agent.unroute.before")
            if path.exists():
                await self._change(path, None)
            await reached("agent.unroute.after")

    async def reconcile(self, *, force: bool = False) -> bool:
        """Tell the router again if what is wanted differs from what it was told.

        Args:
            force: Tell it in any case, for it may have been started anew.

        Returns:
            Whether it was told.
        """
        async with self._turn:
            sites = self._sites()
            if sites == self._told and not force:
                return False
            await self._router.apply(sites)
            self._told = sites
            return True

    async def _change(self, path: Path, wanted: wire.RoutesWanted | None) -> Applied:
        """Write *wanted* down, then tell the router everything; on a refusal write the old back."""
        before = records.read_as(path, wire.RoutesWanted)
        kind = "unroute" if wanted is None else "route"
        _write(path, wanted)
        try:
            await reached(f"agent.{kind}.inside")
            sites = self._sites()
            applied = await self._router.apply(sites)
        except BaseException:
            # Whatever it was, a full disk too: what was refused must not be made so later.
            _write(path, before)
            raise
        self._told = sites
        return applied

    def _sites(self) -> list[Site]:
        return [self._site(routes) for routes in self.all()]

    def _site(self, routes: wire.RoutesWanted) -> Site:
        return Site(
            scope=routes.scope,
            domains=routes.domains,
            default=routes.default,
            weights=dict(routes.weights),
            backends=tuple(self._backend(routes.scope, route) for route in routes.revisions),
            split=splitting.split(routes.split),
            mirror=splitting.mirror(routes.mirror),
            access_log=self._layout.access_log(routes.scope).exists(),
        )

    def _backend(self, scope: str, route: wire.RevisionRoute) -> Backend:
        static = route.component.static
        return Backend(
            revision=route.revision,
            release=route.release,
            addresses=addresses(self._instances, self._origin, scope, route),
            draining=draining(self._instances, scope, route),
            site=f"{scope}/{route.revision}" if static else None,
            spa=bool(static and static.spa),
            headers=tuple(
                HeaderRule(pattern, name, value)
                for pattern, rules in (static.headers if static else {}).items()
                for name, value in rules.items()
            ),
            limits=splitting.limits(route.component),
        )

    def _check(self, wanted: wire.RoutesWanted) -> None:
        named = {route.revision for route in wanted.revisions}
        if wanted.weights and sum(wanted.weights.values()) != 100:
            raise InvalidInput(
                "The weights do not sum to 100",
                subject=wanted.scope,
                why=f"they sum to {sum(wanted.weights.values())}",
            )
        if unnamed := set(wanted.weights) - named:
            raise InvalidInput(
                "A weight names a revision that is not among the revisions",
                subject=f"{wanted.scope}/{min(unnamed)}",
            )
        splitting.check(wanted)
        for route in wanted.revisions:
            if route.component.static is not None:
                there = self._trees.has_site(wanted.scope, route.revision)
            else:
                there = bool(self._instances.of(wanted.scope, route.revision))
            if not there:
                raise NotFound(
                    "Nothing of this revision is on the host",
                    subject=f"{wanted.scope}/{route.revision}",
                    next_step="Start its instances or make its static root first.",
                )


def _write(path: Path, wanted: wire.RoutesWanted | None) -> None:
    if wanted is None:
        path.unlink(missing_ok=True)
        records.remove_empty(path.parent, levels=1)
    else:
        records.write(path, wanted)
