"""The example apps do what the documentation says that an app must do to lose no request."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
APPS = {
    "node-app": ["node", "server.js"],
    "python-app": [sys.executable, "app.py"],
}


@dataclass
class App:
    process: subprocess.Popen[bytes]
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> Iterator[App]:
    command = APPS[request.param]
    assert shutil.which(command[0]), f"{command[0]} is needed for this test"
    with running(command, EXAMPLES / request.param) as found:
        yield found


@contextlib.contextmanager
def running(command: list[str], directory: Path, version: str = "1") -> Iterator[App]:
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"shop {version} listens on {port}\n".encode()
        yield App(process, port)
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection can take it."""
    for port in range(20000 + os.getpid() % 4000, 32000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


@pytest.mark.parametrize("path", ["/", "/healthz", "/version"])
def test_pages_are_served(app: App, path: str) -> None:
    status, body = app.get(path)
    assert status == 200
    assert body


def test_unknown_pages_are_missing(app: App) -> None:
    assert app.get("/nothing")[0] == 404


def test_uploads_arrive_whole(app: App) -> None:
    body = os.urandom(1 << 20)
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        connection = app.connect()
        chunked = bool(headers)
        connection.request(
            "POST",
            "/upload",
            iter([body[:1000], body[1000:]]) if chunked else body,
            headers,
            encode_chunked=chunked,
        )
        answer = json.loads(connection.getresponse().read())
        assert answer == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_events_end_by_themselves_when_asked(app: App) -> None:
    status, body = app.get("/events?for=0.3")
    assert status == 200
    assert b"id: 1\ndata: " in body


def test_sigterm_finishes_what_is_under_way_and_then_exits(app: App) -> None:
    idle, stream, upload = app.connect(), app.connect(), app.connect()
    idle.request("GET", "/version")
    idle.getresponse().read()
    stream.request("GET", "/events")
    streaming = stream.getresponse()
    assert streaming.readline().startswith(b"id:")
    upload.putrequest("POST", "/upload")
    upload.putheader("Content-Length", "6")
    upload.endheaders(b"abc")
    app.get("/version")  # the upload has been taken up by now

    app.process.send_signal(signal.SIGTERM)
    streaming.read()  # a cut stream raises IncompleteRead
    wait_refused(app.port)
    assert app.process.poll() is None

    upload.send(b"def")
    answer = json.loads(upload.getresponse().read())
    assert answer["bytes"] == 6
    assert app.process.wait(timeout=5) == 0


def test_an_idle_app_exits_at_once(app: App) -> None:
    begin = time.monotonic()
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(timeout=5) == 0
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("name", APPS)
def test_without_a_port_the_app_says_so(name: str) -> None:
    found = subprocess.run(
        APPS[name],
        cwd=EXAMPLES / name,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert found.returncode != 0
    assert b"PORT" in found.stderr


def wait_refused(port: int) -> None:
    ends = time.monotonic() + 5
    pause = threading.Event()
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it came between the last accept and the close
        pause.wait(0.02)
    raise AssertionError("the app still takes connections")
