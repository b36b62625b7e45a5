"""A real agent with real Envoy, Caddy and apps in a directory of its own, ended to the last."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import psutil

from turnout.agent.origin import StaticOrigin
from turnout.keys.keyring import Keyring
from turnout.packages.building import build
from turnout.packages.package import write_package
from turnout.packages.scan import scan
from turnout.routers.envoy import EnvoyRouter
from turnout.targets.agent_host import AgentHost
from turnout.targets.local import agent_socket, ensure_agent
from turnout.targets.port import Host
from turnout.wire import agent as wire
from turnout.wire.project import Component, HealthSpec, RunSpec, StaticSpec

HEALTH = HealthSpec(interval=0.05, deadline=15)

PYTHON_APP = """\
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/env":
            body = json.dumps(dict(os.environ)).encode()
        elif self.path == "/write":
            open("server.py", "a").write("# written by the app\\n")
            open("new.txt", "w").write("new")
            body = b"written"
        elif self.path == "/crash":
            os._exit(7)
        else:
            body = b"python VERSION " + str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("asked", self.path, flush=True)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("listening", flush=True)
server.serve_forever()
"""

NODE_APP = """\
const http = require('http');
http.createServer((q, s) => s.end('node VERSION ' + process.pid)).listen(process.env.LISTEN || process.env.PORT);
"""


class RealAgent:
    """One agent that a test may start, kill and end."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="to-"))
        self.data = self.base / "data"
        self.run = self.base / "run"
        self.run.mkdir(mode=0o700)
        self.http = ("127.0.0.1", free_port())
        self.ring = Keyring.open(self.base / "keys")
        self.version = 0

    async def start(self) -> AgentHost:
        await ensure_agent(self.data, self.run, "local", self.http)
        return AgentHost("local", agent_socket(self.run))

    async def pid(self) -> int:
        return (await AgentHost("local", agent_socket(self.run)).hello()).pid

    async def kill(self) -> None:
        """End the agent with SIGKILL, and wait until it is gone."""
        process = psutil.Process(await self.pid())
        process.kill()
        await asyncio.to_thread(process.wait, 10)

    def processes(self) -> list[psutil.Process]:
        """Return every process of this agent: itself, keepers, apps, Envoy and Caddy."""
        mark = str(self.base)
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            except psutil.Error:
                continue
            if process.pid != os.getpid() and any(mark in word for word in words):
                found.append(process)
        return found

    async def end(self) -> None:
        """End everything that this test started, the agent first, for it would restart the rest."""
        for process in self.processes():
            if "-m turnout.agent" in words_of(process):
                process.kill()
                await asyncio.to_thread(process.wait, 10)
        await EnvoyRouter(self.data / "envoy", self.run, self.http).stop()
        await StaticOrigin(self.data / "caddy", self.run, self.data / "sites").stop()
        for process in self.processes():
            try:
                process.kill()
                process.wait(5)
            except psutil.Error:
                pass
        shutil.rmtree(self.base, ignore_errors=True)

    def project(self, files: dict[str, str]) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self.base))
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        return directory

    def trust(self, scope: str) -> wire.Trust:
        key = base64.b64encode(self.ring.environment_key(scope)).decode()
        return wire.Trust(scope=scope, environment_key=key, public_key=self.ring.public_key)

    async def package(self, host: Host, scope: str, directory: Path) -> Path:
        found = scan(directory)
        lacking = await host.lacking(scope, found.manifest.canonical)
        self.version += 1
        path = self.base / f"{self.version}.pkg"
        write_package(path, self.ring, scope, self.version, found.manifest, build(found, lacking))
        return path

    async def stage(self, host: Host, scope: str, files: dict[str, str]) -> str:
        """Stage a project of these files; return its release."""
        path = await self.package(host, scope, self.project(files))
        return (await host.stage(self.trust(scope), path)).release


def python_app(version: str = "1") -> dict[str, str]:
    return {"server.py": PYTHON_APP.replace("VERSION", version)}


def node_app(version: str = "1") -> dict[str, str]:
    return {"server.js": NODE_APP.replace("VERSION", version)}


def app(*command: str, **settings: object) -> Component:
    run = RunSpec.model_validate({"command": command or (sys.executable, "server.py"), **settings})
    return Component(run=run, health=HEALTH)


def site(**settings: object) -> Component:
    return Component(static=StaticSpec.model_validate(settings), health=HEALTH)


def instance(scope: str, release: str, component: Component, index: int = 0) -> wire.InstanceWanted:
    assert component.run is not None
    return wire.InstanceWanted(
        scope=scope,
        revision=component.revision(release),
        release=release,
        index=index,
        run=component.run,
    )


def routing(scope: str, *live: tuple[str, Component, int], domain: str = "") -> wire.RoutesWanted:
    """Return a routing of (release, component, weight) triples."""
    routes = [
        wire.RevisionRoute(revision=c.revision(release), release=release, component=c)
        for release, c, _ in live
    ]
    weights = {c.revision(release): weight for release, c, weight in live if weight}
    domains = (domain or f"{scope.replace('/', '-')}.localhost",)
    return wire.RoutesWanted(scope=scope, domains=domains, weights=weights, revisions=tuple(routes))


def ready(scope: str, release: str, component: Component) -> wire.ReadyWanted:
    revision = component.revision(release)
    return wire.ReadyWanted(scope=scope, revision=revision, health=component.health)


def words_of(process: psutil.Process) -> str:
    """Return the command line of a process, nothing if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def free_port() -> int:
    """Return a port below the ephemeral range that nothing listens on."""
    for port in range(18100 + os.getpid() % 1000, 19999):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
