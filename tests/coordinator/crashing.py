"""A server that a test kills: it prepares, deploys or rolls back, and says how that ended.

Run in a process of its own.  The fake host's state stands in a file, so it survives as a real
host survives the death of its server.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from tests.coordinator.goingback import asked
from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import APP, SITE, Rig, kept, launched
from turnout.base.failpoints import VARIABLE
from turnout.coordinator.tables import deployments


async def main(directory: Path, scenario: str, task: str) -> None:
    """Do *task*: ``prepare`` what is live before, or ``act``, or go on after a kill."""
    component = SITE if "site" in scenario else APP
    with kept(directory / "host.json", GatedHost()) as host:
        rig = Rig(directory, host)
        if "bad" in scenario:
            host.failing.add(component.revision(rig.release("three")))
        async with launched(rig):
            if task == "prepare":
                await rig.run("one", component)
                # What is rehearsed is cold, or there would be little to start and to take away.
                await rig.run("two", component, keep_warm=0.0 if "drill" in scenario else 900.0)
                return
            with rig.database.reading() as connection:
                names = connection.execute(deployments.select()).mappings().all()
            deployment = sorted(row["id"] for row in names)[-1]
            if len(names) == 2:
                deployment = (
                    (await rig.coordinator.rollback(asked(drill="drill" in scenario), "ada")).id
                    if "rollback" in scenario or "drill" in scenario
                    else await rig.deploy(
                        rig.release("three"),
                        component,
                        keep_warm=0.0,
                        verify=0.2 if "bad" in scenario else 0.0,
                    )
                )
            found = await rig.ended(deployment)
            started = [event.kind for event in rig.told(deployment)]
            once = [kind for kind in started if kind.startswith(("phase.", "deployment."))]
            picture = rig.picture()
            # Placements count up with every sealing, and one that was cut off is not taken back.
            picture["status"] = found.status
            picture["steps"] = [(step.action, step.status) for step in found.steps]
            picture["once"] = len(once)
            picture["twice"] = sorted(
                kind
                for kind in set(once)
                if kind.startswith("deployment.") and once.count(kind) > 1
            )
            (directory / "picture.json").write_text(json.dumps(picture))


def child(directory: Path, scenario: str, task: str, log: Path) -> None:
    """Be the process that is killed: its failpoints stand in ``failpoints`` of *directory*."""
    os.environ[VARIABLE] = str(directory / "failpoints")
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    asyncio.run(main(directory, scenario, task))
    # As a server does: what threads of the engine still do is of no use any more.
    os._exit(0)
