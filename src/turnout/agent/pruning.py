"""Pruning: what a scope needs no longer goes, unless something that stays still needs it."""

from __future__ import annotations

import asyncio

from turnout.agent import records
from turnout.agent.accesslogs import AccessLogs
from turnout.agent.commands import Commands
from turnout.agent.instances import Instances
from turnout.agent.paths import Layout, revisions
from turnout.agent.routing import Routing
from turnout.agent.staging import Staging
from turnout.agent.trees import Trees
from turnout.base.failpoints import reached
from turnout.packages.disk import remove_tree
from turnout.packages.hosting import HostReleases
from turnout.wire import agent as wire

PATIENCE = 5.0
"""Seconds to wait for transfers to end; releases that then cannot go, go the next time."""
LOGS_KEPT = 10
"""Revisions of a scope whose logs stay after they are gone, newest first."""


class Pruning:
    """The one place where releases are removed."""

    def __init__(
        self,
        layout: Layout,
        releases: HostReleases,
        trees: Trees,
        instances: Instances,
        routing: Routing,
        staging: Staging,
        commands: Commands,
        access_logs: AccessLogs,
    ) -> None:
        self._layout = layout
        self._releases = releases
        self._trees = trees
        self._instances = instances
        self._routing = routing
        self._staging = staging
        self._commands = commands
        self._access_logs = access_logs
        self._turn = asyncio.Lock()

    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        """Keep of a scope what is named and what its routing names; remove the rest.

        A release goes when no scope has a claim on it and nothing on the host runs, serves or
        routes it.
        """
        async with self._turn:
            await reached("agent.prune.before")
            gone = await self._prune_revisions(wanted)
            await reached("agent.prune.inside")
            self._staging.disclaim(wanted.scope, set(wanted.releases))
            releases = await self._prune_releases()
            await reached("agent.prune.after")
        return wire.Pruned(releases=tuple(releases), revisions=tuple(gone))

    async def _prune_revisions(self, wanted: wire.PruneWanted) -> list[str]:
        scope = wanted.scope
        routed = self._routing.revisions(scope)
        keep = set(wanted.revisions) | routed
        areas = (self._layout.instances, self._layout.sites, self._layout.apps)
        found = {revision for area in areas for revision in revisions(area, scope)}
        for revision in sorted(found - keep):
            await self._instances.remove(scope, revision)
            await self._trees.remove_site(scope, revision)
        await asyncio.to_thread(self._prune_logs, scope, keep)
        await self._commands.prune(scope, keep)
        if not keep and not wanted.releases:
            self._access_logs.forget(scope)
            await self._trees.remove_bridge(scope)
        return sorted(found - keep)

    def _prune_logs(self, scope: str, keep: set[str]) -> None:
        """Remove the logs of all but the newest revisions that are gone.

        What a failed release wrote is wanted just after it was taken back.
        """
        directories = [
            self._layout.instance_log(scope, revision, 0).parent
            for revision in revisions(self._layout.logs, scope)
            if revision not in keep
        ]
        directories.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for logs in directories[LOGS_KEPT:]:
            remove_tree(logs)
            records.remove_empty(logs.parent, levels=2)

    async def _prune_releases(self) -> list[str]:
        async with self._trees.exclusive(PATIENCE) as quiet:
            if not quiet:
                return []
            needed = self._staging.claimed()
            needed |= {i.record.wanted.release for i in self._instances.all()}
            needed |= {site.release for site in self._trees.sites()}
            for routes in self._routing.all():
                needed |= {route.release for route in routes.revisions}
            removed = sorted(set(self._releases.held()) - needed)
            for release in removed:
                await asyncio.to_thread(self._releases.remove, release)
        return removed
