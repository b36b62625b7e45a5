"""Clients that never pause: on connections that they keep, on new ones, with slow requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

PATIENT_APP = """\
import http.server, json, os, time
BORN = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        # It listens before it can serve: whoever is sent here too early is told so.
        early = time.monotonic() - BORN < 0.4
        if self.path == "/slow":
            time.sleep(0.2)
        index = int(os.environ["TURNOUT_INSTANCE"].rpartition("/")[2])
        body = json.dumps({"index": index, "pid": os.getpid()}).encode()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500 if early else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
"""An app that says who it is, ends at once on SIGTERM and fails what it gets before it is ready."""


@dataclass
class Answer:
    """One good answer: when its request began, and which process gave it."""

    began: float
    index: int
    pid: int


@dataclass
class Crowd:
    """Everything that clients met.

    Attributes:
        url: Where they ask.
        host: The name they ask for.
        answers: What was well.
        failures: What was not, in words.
    """

    url: str
    host: str
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask until the block ends; let every request under way end."""
        ending = asyncio.Event()
        keeping = [("GET", "/"), ("GET", "/"), ("POST", "/"), ("GET", "/slow"), ("POST", "/slow")]
        tasks = [asyncio.create_task(self._keep(ending, *what)) for what in keeping]
        tasks += [asyncio.create_task(self._anew(ending)) for _ in range(2)]
        try:
            yield
        finally:
            ending.set()
            await asyncio.gather(*tasks)

    async def ask(self, client: httpx2.AsyncClient, method: str = "GET", path: str = "/") -> None:
        """Ask once and take down what came."""
        began = time.monotonic()
        try:
            found = await client.request(method, self.url + path, headers={"Host": self.host})
        except httpx2.HTTPError as error:
            self.failures.append(f"{method} {path}: {error!r}")
            return
        if found.status_code == 200:
            said = json.loads(found.text)
            self.answers.append(Answer(began, said["index"], said["pid"]))
        else:
            self.failures.append(f"{method} {path}: {found.status_code} {found.text[:100]}")
        self._more.set()

    async def until(self, what: str, value: int | None, seconds: float = 10.0) -> None:
        """Wait for an answer whose ``index`` or ``pid`` is *value*; earlier ones do not count."""
        seen = len(self.answers)
        async with asyncio.timeout(seconds):
            while not any(getattr(answer, what) == value for answer in self.answers[seen:]):
                self._more.clear()
                await self._more.wait()

    def answered_by(self, index: int, after: float, before: float) -> int:
        """Return how many requests that began in between an instance answered."""
        return sum(a.index == index and after < a.began < before for a in self.answers)

    async def _keep(self, ending: asyncio.Event, method: str, path: str) -> None:
        async with _client() as client:
            while not ending.is_set():
                await self.ask(client, method, path)

    async def _anew(self, ending: asyncio.Event) -> None:
        while not ending.is_set():
            async with _client() as client:
                await self.ask(client)


async def indexes(crowd: Crowd, count: int = 60) -> set[int]:
    """Return which instances answer *count* requests, each on a connection of its own.

    With three of them the chance that one is missed by chance is below 1e-10.
    """
    seen = len(crowd.answers)
    for _ in range(count):
        async with _client() as client:
            await crowd.ask(client)
    return {answer.index for answer in crowd.answers[seen:]}


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False, timeout=10, verify=False)
