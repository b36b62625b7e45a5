"""Where an agent keeps what: one data directory, and a run directory for sockets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import InvalidInput
from turnout.base.ids import NAME, REVISION
from turnout.base.rundir import private_directory

UNFINISHED = ".part-"
"""How names of half-made trees begin; they are swept when the agent starts."""


@dataclass(frozen=True)
class Layout:
    """The places of one agent.

    Attributes:
        data: The data directory.
        run: The run directory, short enough for sockets.
    """

    data: Path
    run: Path

    @property
    def lock(self) -> Path:
        return self.data / "agent.lock"

    @property
    def log(self) -> Path:
        return self.data / "agent.log"

    @property
    def releases(self) -> Path:
        return self.data / "releases"

    @property
    def sites(self) -> Path:
        """``PROJECT/ENVIRONMENT/REVISION``: what the static origin serves."""
        return self.data / "sites"

    @property
    def apps(self) -> Path:
        """``PROJECT/ENVIRONMENT/REVISION``: private copies that server apps run in."""
        return self.data / "apps"

    @property
    def instances(self) -> Path:
        """``PROJECT/ENVIRONMENT/REVISION/INDEX``: one directory for each wanted instance."""
        return self.data / "instances"

    @property
    def logs(self) -> Path:
        """Like :attr:`instances`; logs stay when an instance goes, until its revision is pruned."""
        return self.data / "logs"

    @property
    def routes(self) -> Path:
        """``PROJECT/ENVIRONMENT.json``: the last wanted routing of a scope."""
        return self.data / "routes"

    @property
    def claims(self) -> Path:
        """``PROJECT/ENVIRONMENT/RELEASE``: an empty file for each release that a scope was sent."""
        return self.data / "claims"

    @property
    def commands(self) -> Path:
        """``PROJECT/ENVIRONMENT``: a directory for each command, and what those that ended said."""
        return self.data / "commands"

    @property
    def access_logs(self) -> Path:
        """``PROJECT/ENVIRONMENT.json``: there for each scope whose requests are logged."""
        return self.data / "access-logs"

    @property
    def envoy(self) -> Path:
        return self.data / "envoy"

    @property
    def caddy(self) -> Path:
        return self.data / "caddy"

    def make(self) -> None:
        """Make every directory that is missing, readable by the owner only."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (
            *(self.releases, self.sites, self.apps, self.instances, self.logs),
            *(self.routes, self.claims, self.commands, self.access_logs),
            *(self.envoy, self.caddy),
        ):
            private_directory(path)

    def site(self, scope: str, revision: str) -> Path:
        return self.sites / checked(scope) / revision

    def site_record(self, scope: str, revision: str) -> Path:
        return self.sites / checked(scope) / f"{revision}.json"

    def bridge(self, scope: str) -> Path:
        return self.sites / checked(scope) / ".bridge"

    def app(self, scope: str, revision: str) -> Path:
        return self.apps / checked(scope) / revision

    def instance(self, scope: str, revision: str, index: int) -> Path:
        return self.instances / checked(scope) / revision / str(index)

    def instance_log(self, scope: str, revision: str, index: int) -> Path:
        return self.logs / checked(scope) / revision / str(index)

    def route(self, scope: str) -> Path:
        return self.routes / f"{checked(scope)}.json"

    def command(self, scope: str, name: str) -> Path:
        return self.commands / checked(scope) / name

    def access_log(self, scope: str) -> Path:
        return self.access_logs / f"{checked(scope)}.json"

    def socket(self, scope: str, revision: str, index: int) -> Path:
        """Return the short path of an instance's unix socket."""
        name = f"{scope}/{revision}/{index}".encode()
        return self.run / f"i-{hashlib.sha256(name).hexdigest()[:12]}.sock"


def checked(scope: str) -> str:
    """Return *scope* if it is ``project/environment``; nothing else may become a path.

    Raises:
        InvalidInput: It is not.
    """
    project, slash, environment = scope.partition("/")
    if not (slash and NAME.fullmatch(project) and NAME.fullmatch(environment)):
        raise InvalidInput("This is no scope", subject=scope[:100], why="it is project/environment")
    return scope


def scopes(root: Path) -> Iterator[str]:
    """Yield each scope that has a directory under *root*."""
    for project in _names(root, NAME):
        for environment in _names(root / project, NAME):
            yield f"{project}/{environment}"


def revisions(root: Path, scope: str) -> Iterator[str]:
    """Yield each revision that has a directory in *scope* under *root*."""
    yield from _names(root / checked(scope), REVISION)


def _names(directory: Path, pattern: re.Pattern[str]) -> list[str]:
    try:
        # Listed at once, for it may go while a look from another thread is under way.
        entries = list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e.name for e in entries if pattern.fullmatch(e.name) and e.is_dir())
