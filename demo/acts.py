"""The acts of the show, in order: what is done, to which project, and how it has to end."""

from __future__ import annotations

from dataclasses import dataclass

from demo.versions import Project


@dataclass(frozen=True)
class Act:
    """One command of the show.

    Attributes:
        title: What the table calls it.
        project: What it acts on.
        version: What it deploys; empty: it rolls back.
        live: The version that has to serve afterwards.
        exit_code: How the command has to end.
        status: What its document has to say.
    """

    title: str
    project: Project
    version: str
    live: str
    exit_code: int = 0
    status: str = "succeeded"
    evidence: bool = False
    """Whether the evidence that it was decided by is shown."""

    @property
    def argv(self) -> list[str]:
        """The arguments of ``turnout``."""
        if not self.version:
            return ["rollback", "production", "--project", self.project.name]
        path = self.project.versions[self.version]
        return ["deploy", str(path), "--to", "production", "--message", self.title]


Group = list[Act]
"""Acts that run at the same time."""


def opening(*projects: Project) -> Group:
    """Return the first release of every project."""
    return [Act("first release", one, "v1", "v1") for one in projects]


def show(first: Project, app: Project) -> list[Group]:
    """Return the acts of blue-green, one group after the other.

    Args:
        first: The site, or the user's own project, which then has the broken release as well.
        app: The example app.
    """
    broken = first if "v3" in first.versions else app
    return [
        [Act("second release", first, "v2", "v2"), Act("second release", app, "v2", "v2")],
        [Act("broken: never healthy", broken, "v3", "v2", 1, "failed")],
        [Act("turns bad under traffic", app, "v4", "v2", 4, "rolled_back")],
        [Act("rollback by hand", broken, "", "v1")],
    ]


def canary(healthy: Project, faulty: Project, slow: Project) -> list[Group]:
    """Return the canary act: the evidence alone raises the weight or takes it back."""
    return [
        [
            Act("canary: healthy", healthy, "v2", "v2", evidence=True),
            Act("canary: 3 % errors", faulty, "v2", "v1", 4, "rolled_back", evidence=True),
            Act("canary: p99 +50 %", slow, "v2", "v1", 4, "rolled_back", evidence=True),
        ]
    ]
