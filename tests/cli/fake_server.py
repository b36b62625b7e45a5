"""A small real HTTP server that answers like the API, and misbehaves when a test asks it to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.cli.documents import AT, OLDER, PHASES, deployment, page, plan, problem, release
from turnout.packages import segments
from turnout.packages.manifest import parse

TOKEN = "tok-0123456789"


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeServer:
    """State and knobs of the server; a test sets them before it runs a command."""

    token: str = TOKEN
    end: str = "succeeded"
    """How a deployment ends; 'never' leaves it running."""
    reason: str = ""
    problems: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Path suffix to the problem that it answers with."""
    broken: list[str] = field(default_factory=list)
    """Path suffixes whose next request is carried out and its answer lost."""
    cut_events_after: int | None = None
    """The stream is cut once after so many events."""
    happenings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Further events of every deployment: kind and data."""
    on_events: Callable[[], None] | None = None
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Response] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    releases: set[str] = field(default_factory=set)
    manifests: dict[str, Any] = field(default_factory=dict)
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    environments: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    """Further paths and what they answer."""
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def requests(self, method: str, suffix: str) -> list[Seen]:
        return [s for s in self.seen if s.method == method and s.path.endswith(suffix)]

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path.removeprefix("/api/v1")
        seen = Seen(request.method, path, dict(request.query_params), dict(request.headers), body)
        self.seen.append(seen)
        if seen.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401, "unauthenticated", "A token is needed")
        response = self._answer(seen)
        for suffix in self.broken:
            if path.endswith(suffix):
                self.broken.remove(suffix)
                return StreamingResponse(lost())
        return response

    def _answer(self, seen: Seen) -> Response:
        for suffix, (status, document) in self.problems.items():
            if seen.path.endswith(suffix):
                return JSONResponse(
                    document, status_code=status, media_type="application/problem+json"
                )
        if seen.method == "GET":
            return self._get(seen)
        if seen.method == "PUT":
            return JSONResponse(seen.json)
        key = seen.headers.get("idempotency-key", "")
        if not key:
            return problem(400, "bad-request", "no key")
        if key not in self.answers:
            self.answers[key] = self._post(seen)
        return self.answers[key]

    def _get(self, seen: Seen) -> Response:
        if seen.path in self.documents:
            return JSONResponse(self.documents[seen.path])
        if seen.path == "/server":
            return JSONResponse(
                {
                    "version": "9.9.9",
                    "http_address": "127.0.0.1:8080",
                    "single_machine": True,
                    "pid": 1,
                    "data": "/d",
                }
            )
        if seen.path == "/environments":
            return page(self.environments)
        if seen.path == "/deployments":
            return page(list(self.deployments.values()))
        parts = seen.path.strip("/").split("/")
        if parts[0] == "deployments" and parts[1] in self.deployments:
            if len(parts) == 2:
                return JSONResponse(self.deployments[parts[1]])
            if parts[2] == "events":
                return self._events(seen, parts[1])
        return problem(404, "not-found", f"There is nothing at {seen.path}")

    def _post(self, seen: Seen) -> Response:
        parts = seen.path.strip("/").split("/")
        if parts[-1] == "uploads":
            assert seen.headers["content-type"] == "application/vnd.turnout.manifest"
            manifest = parse(seen.body)
            self.manifests[manifest.release] = manifest
            complete = manifest.release in self.releases
            missing = [] if complete else [d for d in manifest.sizes if d not in self.blobs]
            return JSONResponse(
                {"release": manifest.release, "missing": missing, "complete": complete}
            )
        if parts[-1] == "segments":
            self._take(seen.body)
            return JSONResponse({"blobs": 1, "bytes": len(seen.body)})
        if parts[-1] == "commit":
            manifest = self.manifests[parts[3]]
            for digest, size in manifest.sizes.items():
                content = self.blobs[digest]
                assert len(content) == size
                assert hashlib.sha256(content).hexdigest() == digest
            self.releases.add(parts[3])
            return JSONResponse(release(parts[3], parts[1]))
        if seen.path == "/deployments":
            asked = seen.json
            intent = asked["intent"]
            return self.start(
                "deployment", intent["project"], intent["environment"], asked["release"], asked
            )
        if seen.path == "/rollbacks":
            asked = seen.json
            return self.start("rollback", asked["project"], asked["environment"], OLDER, {})
        if seen.path in self.documents:
            return JSONResponse(self.documents[seen.path])
        if seen.path in ("/plans", "/rollbacks/plan"):
            return JSONResponse(plan(seen.json))
        return JSONResponse({**self.deployments[parts[1]], "status": "paused"})

    def start(
        self, kind: str, project: str, environment: str, release: str, asked: dict[str, Any]
    ) -> Response:
        identifier = f"dep-{len(self.deployments) + 1:09}"
        document = deployment(identifier, kind, project, environment, release)
        document["uploaded_bytes"] = asked.get("uploaded_bytes", 0)
        document["reused_bytes"] = asked.get("reused_bytes", 0)
        self.deployments[identifier] = document
        return JSONResponse(document, status_code=201)

    def finish(self, identifier: str, status: str) -> None:
        document = self.deployments[identifier]
        document.update(status=status, reason=self.reason, duration_s=1.25, finished_at=AT)

    def events_of(self, identifier: str) -> list[dict[str, Any]]:
        found: list[tuple[str, dict[str, Any]]] = [("deployment.started", {"status": "running"})]
        found += self.happenings
        for phase in PHASES:
            found.append(("phase.started", {"phase": phase}))
            step = {"phase": phase, "title": f"do {phase}", "action": "x", "host": "local"}
            found.append(("step.started", {**step, "attempt": 1}))
            found.append(("step.done", step))
            found.append(("phase.finished", {"phase": phase, "status": "done"}))
        if self.end != "never":
            found.append(("deployment.finished", {"status": self.end, "reason": self.reason}))
        return [
            {"seq": seq, "at": AT, "kind": kind, "deployment": identifier, "data": data}
            for seq, (kind, data) in enumerate(found, 1)
        ]

    def _events(self, seen: Seen, identifier: str) -> Response:
        events = self.events_of(identifier)
        if "event-stream" not in seen.headers.get("accept", ""):
            after = int(seen.query.get("after", 0))
            return page([event for event in events if event["seq"] > after])
        after = int(seen.headers.get("last-event-id") or 0)
        if after == len(events):
            self.finish(identifier, self.end)
            return Response(status_code=204)

        async def body() -> AsyncIterator[str]:
            yield "retry: 1000\n\n: hello\n\n"
            if self.on_events is not None:
                self.on_events()
            new = [event for event in events if event["seq"] > after]
            for count, event in enumerate([*new, None]):
                if count == self.cut_events_after:
                    self.cut_events_after = None
                    raise ConnectionAbortedError("cut on purpose")
                if event is not None:
                    yield f"id: {event['seq']}\nevent: {event['kind']}\n"
                    yield f"data: {json.dumps(event)}\n\n"
            if self.end == "never":
                await asyncio.sleep(3600)
            self.finish(identifier, self.end)

        return StreamingResponse(body(), media_type="text/event-stream")

    def _take(self, body: bytes) -> None:
        collected: dict[str, bytearray] = {}
        for part, piece in segments.decode(body).pieces():
            whole = collected.setdefault(part.digest.hex(), bytearray())
            whole.extend(piece)
        self.blobs.update({digest: bytes(whole) for digest, whole in collected.items()})


class Running:
    """The server in a thread; ``stop`` and ``start`` again on the same port."""

    def __init__(self, fake: FakeServer, **tls: Any) -> None:
        self.fake = fake
        self._tls = tls
        self._socket = _listen(0)
        fake.port = self._socket.getsockname()[1]
        fake.scheme = "https" if tls else "http"
        self.start()

    def start(self) -> None:
        if self._socket.fileno() < 0:
            self._socket = _listen(self.fake.port)
        app = Starlette(
            routes=[Route("/{rest:path}", self.fake.handle, methods=["GET", "POST", "PUT"])]
        )
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0, **self._tls
        )
        self._server = uvicorn.Server(config)
        started = threading.Event()

        def run() -> None:
            started.set()
            self._server.run(sockets=[self._socket])

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        started.wait(5)

    def stop(self, *, wait: bool = True) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        if wait:
            self._thread.join(10)
            self._socket.close()


async def lost() -> AsyncIterator[bytes]:
    """Cut the connection in the middle of an answer."""
    yield b"{"
    raise ConnectionAbortedError("lost on purpose")


def _listen(port: int) -> socket.socket:
    # The protocol is named, for asyncio turns off Nagle on such sockets only (40 ms an answer).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener
