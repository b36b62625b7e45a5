"""Projects for tests: copies of the examples with quick settings, each version unlike the last."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.stand.stand import Stand
from turnout.cli.client import Client
from turnout.cli.credentials import Login
from turnout.cli.uploading import package, upload
from turnout.cli.workspace import open_workspace
from turnout.wire.api import DeployRequest

EXAMPLES = Path(__file__).parents[2] / "examples"
_count = itertools.count(1)

_NODE_URL = '  const url = new URL(request.url, "http://localhost");\n'
_NODE_HEALTH = "function health(_, response) {\n"
_PYTHON_URL = "            url = urlsplit(self.path)\n"
_PYTHON_HEALTH = "def health(handler, query):\n"
_TURNS_BAD = {
    "server.js": {
        _NODE_URL: f"""{_NODE_URL}  if (url.pathname !== "/healthz") visited = true;
""",
        _NODE_HEALTH: f"""let visited = false;

{_NODE_HEALTH}  if (visited) return json(response, 500, {{ ok: false }});
""",
    },
    "app.py": {
        _PYTHON_URL: f"""{_PYTHON_URL}            if url.path != "/healthz":
                visits.append(1)
""",
        _PYTHON_HEALTH: f"""visits = []


{_PYTHON_HEALTH}    if visits:
        return handler.answer_json(500, {{"ok": False}})
""",
    },
}
"""File to old and new pieces of it: one visitor, and the health check fails for ever."""


@dataclass
class Project:
    """A directory that tests change and deploy again and again.

    Attributes:
        code: The file in it that carries the version.
        settings: Values in turnout.toml by ``table.key``, as TOML texts.
    """

    name: str
    path: Path
    code: Path
    static: bool
    settings: dict[str, str] = field(default_factory=dict)

    def change(self) -> str:
        """Make its files those of a new release; return the text that only this one has."""
        mark = f"version-{next(_count)}"
        text = re.sub(r"version-\d+", mark, self.code.read_text())
        assert mark in text
        self.code.write_text(text)
        if self.static:
            for old in self.code.parent.glob("assets/build.*.js"):
                old.unlink()
            name = hashlib.sha256(mark.encode()).hexdigest()[:8]
            (self.code.parent / "assets" / f"build.{name}.js").write_text(f"// {mark}\n")
        return mark

    def rename(self, name: str) -> None:
        """Make it another project with the same files."""
        self.name = name
        self._write_settings()

    def turn_bad(self) -> None:
        """Make its health check fail as soon as it has had a visitor; pages go on answering."""
        text = self.code.read_text()
        for old, new in _TURNS_BAD[self.code.name].items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        self.code.write_text(text)

    def set(self, **settings: str) -> None:
        """Change settings, such as ``rollout_verify='"1s"'``."""
        for name, value in settings.items():
            table, _, key = name.partition("_")
            self.settings[f"{table}.{key}"] = value
        self._write_settings()

    def request(self, stand: Stand) -> DeployRequest:
        """Upload what it is now; return what asks for its deployment."""
        workspace = open_workspace(self.path, "production")
        with client_of(stand) as client:
            scanned = package(workspace.package, lambda *_: None)
            release = upload(client, self.name, scanned, "", lambda *_: None).release
        return DeployRequest(intent=workspace.intent, release=release)

    def _write_settings(self) -> None:
        lines = [f'project = "{self.name}"']
        tables: dict[str, list[str]] = {}
        for name, value in self.settings.items():
            table, _, key = name.partition(".")
            tables.setdefault(table, []).append(f"{key} = {value}")
        for table, entries in tables.items():
            lines += ["", f"[{table}]", *entries]
        (self.path / "turnout.toml").write_text("\n".join([*lines, ""]))


def client_of(stand: Stand) -> Client:
    """Return a client of the API with the token that the server left."""
    return Client(Login(stand.api, stand.token))


def app(directory: Path, name: str, **settings: str) -> Project:
    """Return the example app, in Node.js where that is installed and in Python elsewhere."""
    node = shutil.which("node") is not None
    path = directory / name
    shutil.copytree(EXAMPLES / ("node-app" if node else "python-app"), path)
    code = path / ("server.js" if node else "app.py")
    text = code.read_text().replace('VERSION = "1"', 'VERSION = "version-0"')
    code.write_text(text)
    project = Project(name, path, code, static=False)
    command = '["node", "server.js"]' if node else '["python3", "app.py"]'
    project.settings["run.command"] = command
    project.settings["health.path"] = '"/healthz"'
    return _quick(project, settings)


def site(directory: Path, name: str, **settings: str) -> Project:
    """Return the example site, with one hashed asset more that carries the version."""
    path = directory / name
    shutil.copytree(EXAMPLES / "static-site", path)
    code = path / "site" / "index.html"
    code.write_text(code.read_text().replace("Version 1", "version-0"))
    project = Project(name, path, code, static=True)
    project.settings["build.output"] = '"site"'
    project.settings["static.spa"] = "true"
    return _quick(project, settings)


def _quick(project: Project, settings: dict[str, str]) -> Project:
    quick = {
        "health_interval": '"100ms"',
        "health_healthy_after": "1",
        "health_deadline": '"30s"',
        "rollout_verify": '"300ms"',
        "rollout_drain": '"10s"',
        "rollout_keep_releases": "2",
    }
    project.set(**{**quick, **settings})
    return project
