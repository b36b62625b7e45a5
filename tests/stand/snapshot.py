"""What one project of a stand looks like: records, instances, routes, files, processes, answers.

Names of releases and revisions differ from run to run, so they are replaced by their place in
the history: ``live`` is what is live, ``1`` the entry before it and so on, ``other`` what the
history does not know.  Two undisturbed runs of the same thing give equal snapshots.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.stand.stand import Stand
from turnout.base.errors import TurnoutError
from turnout.targets.agent_host import AgentHost
from turnout.wire.agent import HostFacts

Snapshot = dict[str, Any]
_KEPT_ENTRIES = 3
_ROUTED = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")


async def take(stand: Stand, project: str, environment: str = "production") -> Snapshot:
    """Return how *project* stands now; ``agent`` says so if the agent cannot be asked."""
    here = (project, environment)
    names = _names(stand, *here)
    found: Snapshot = {"record": _record(stand, names, *here)}
    try:
        facts = await agent(stand).facts()
    except TurnoutError as error:
        return {**found, "agent": str(error)}
    found["host"] = _host(facts, names, f"{project}/{environment}")
    found["files"] = _files(stand, names, *here)
    found["processes"] = _processes(stand, names, f"/{project}/{environment}/")
    found["answers"] = _answers(stand, names, *here)
    return found


def differences(wanted: Snapshot, found: Snapshot) -> list[str]:
    """Return in which parts two snapshots differ, one line each."""
    lines = []
    for part in wanted.keys() | found.keys():
        one, other = wanted.get(part), found.get(part)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += [f"{part}.{line}" for line in differences(one, other)]
        elif one != other:
            lines.append(f"{part}: wanted {one!r}, found {other!r}")
    return sorted(lines)


def agent(stand: Stand) -> AgentHost:
    """Return the agent of a stand, as its server reaches it."""
    run = (stand.data / "host" / "run-directory").read_text().strip()
    return AgentHost("local", Path(run) / "agent.sock")


def _scope(stand: Stand, project: str, environment: str) -> tuple[Snapshot, list[Snapshot]]:
    """Return the row of a scope, and those of its history, newest first."""
    here = (project, environment)
    scopes = stand.query("select * from scopes where project = ? and environment = ?", *here)
    history = stand.query(
        "select * from history where project = ? and environment = ? order by id desc", *here
    )
    return (scopes[0] if scopes else {}), history


def _names(stand: Stand, project: str, environment: str) -> dict[str, str]:
    """Return the place in the history of every release and revision."""
    scope, history = _scope(stand, project, environment)
    names: dict[str, str] = {}
    for row in history:
        if row["id"] == scope.get("live"):
            names[row["release"]] = names[row["revision"]] = "live"
    others = [row for row in history if row["revision"] not in names]
    for number, row in enumerate(others, 1):
        names.setdefault(row["release"], str(number))
        names.setdefault(row["revision"], str(number))
    return names


def _record(stand: Stand, names: dict[str, str], project: str, environment: str) -> Snapshot:
    scope, history = _scope(stand, project, environment)
    by_id = {row["id"]: names[row["revision"]] for row in history}
    under_way = stand.query(
        "select 1 from deployments where project = ? and environment = ? and finished_at is null",
        project,
        environment,
    )
    return {
        "holder": scope.get("holder"),
        "live": by_id.get(scope.get("live")),
        "previous": by_id.get(scope.get("previous")),
        "withdrawn": [bool(row["withdrawn"]) for row in history[:_KEPT_ENTRIES]],
        "under way": len(under_way),
    }


def _host(facts: HostFacts, names: dict[str, str], scope: str) -> Snapshot:
    return {
        "instances": sorted(
            f"{names.get(one.revision, 'other')}/{one.index} {one.state}"
            for one in facts.instances
            if one.scope == scope
        ),
        "sites": sorted(names.get(s.revision, "other") for s in facts.sites if s.scope == scope),
        "weights": {
            names.get(revision, "other"): weight
            for route in facts.routes
            if route.scope == scope
            for revision, weight in route.weights.items()
        },
        "releases": sorted(names[release] for release in facts.releases if release in names),
        "router": facts.router_alive,
        "origin": facts.origin_alive,
    }


def _files(stand: Stand, names: dict[str, str], project: str, environment: str) -> Snapshot:
    host = stand.data / "host"
    found: Snapshot = {}
    for area in ("apps", "sites", "instances", "claims"):
        found[area] = sorted(
            _named(entry.name, names) for entry in _entries(host / area / project / environment)
        )
    routes = host / "routes" / project / f"{environment}.json"
    try:
        wanted = json.loads(routes.read_bytes())
        found["routed"] = sorted(names.get(r["revision"], "other") for r in wanted["revisions"])
    except FileNotFoundError:
        found["routed"] = None
    found["half-made"] = sorted(
        str(path.relative_to(stand.data))
        for path in [*host.rglob(".part-*"), *(host / "releases" / "incoming").glob("*")]
    )
    found["packages"] = len(_entries(stand.data / "store" / project / "packages"))
    return found


def _processes(stand: Stand, names: dict[str, str], mark: str) -> Snapshot:
    kinds: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for process in stand.processes():
        if process.kind not in ("keeper", "app"):
            kinds[process.kind] += 1
            continue
        text = " ".join([process.place, *process.words])
        if mark in text:
            revision = text.partition(mark)[2].partition("/")[0].split()[0]
            own[f"{process.kind} of {names.get(revision, 'other')}"] += 1
    return {"program": dict(kinds), "project": dict(own)}


def _answers(stand: Stand, names: dict[str, str], project: str, environment: str) -> Snapshot:
    host = f"{project}.localhost"
    if environment != "production":
        host = f"{environment}.{host}"
    try:
        answer = stand.ask("/", host)
    except OSError as error:
        return {"status": type(error).__name__}
    release = answer.headers.get("x-turnout-release", "")
    return {"status": answer.status, "release": names.get(release, "other") if release else ""}


def _named(text: str, names: dict[str, str]) -> str:
    return _ROUTED.sub(lambda found: names.get(found[0], "other"), text)


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
