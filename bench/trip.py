"""The trip of a release through three processes, as in the product: client, server and host.

    python -m bench.trip server|host ROOT        (started by :class:`Trip`)

Server and host answer on unix sockets in ROOT.  HTTP is left out, for it is measured with the
commands; everything else is done as the product does it: the client packs while earlier segments
travel, the package goes from the server's disk to the host as a stream.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

from turnout.keys.keyring import Keyring
from turnout.packages.building import build
from turnout.packages.hosting import HostReleases
from turnout.packages.manifest import parse
from turnout.packages.pipeline import in_any_order
from turnout.packages.scan import scan
from turnout.packages.segments import Segment
from turnout.packages.store import Store

PROJECT = "bench"
SCOPE = "bench/production"
STREAMS = 3
_CHUNK = 256 << 10


@dataclass
class Laps:
    """Seconds by the name of what took them, processor seconds, and bytes that travelled."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu: float = 0.0
    wire_bytes: int = 0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


class Trip:
    """A server and a host under *root*, and the client that deploys to them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._processes = [
            subprocess.Popen([sys.executable, "-m", "bench.trip", role, str(root)])
            for role in ("server", "host")
        ]
        self._server = [_connect(root / "server.sock") for _ in range(STREAMS)]
        self._host = _connect(root / "host.sock")

    def __enter__(self) -> Trip:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in (*self._server, self._host):
            connection.close()
        for process in self._processes:
            process.terminate()
            process.wait()

    def deploy(self, source: Path) -> Laps:
        """Bring what is in *source* to the host."""
        laps = Laps()
        before = self._cpu()
        with laps.lap("scan"):
            scanned = scan(source)
        with laps.lap("upload"):
            server = self._server[0]
            missing = _ask(server, "missing", scanned.manifest.canonical)
            self._upload(build(scanned, missing))
            release = _ask(server, "commit", scanned.manifest.canonical)
        seconds, laps.wire_bytes = _ask(server, "deploy", release)
        laps.seconds.update(seconds)
        laps.cpu = self._cpu() - before
        return laps

    def peaks(self) -> dict[str, int]:
        """Return the peak memory of each process in MiB, helpers aside."""
        rest = {"server": _ask(self._server[0], "peak"), "host": _ask(self._host, "peak")}
        return {"client": _peak(), **rest}

    def _upload(self, segments: Iterator[Segment]) -> None:
        free = list(self._server)

        def send(segment: Segment) -> None:
            connection = free.pop()
            connection.send(("segment", ()))
            connection.send_bytes(segment.encode())
            connection.recv()
            free.append(connection)

        in_any_order(send, segments, STREAMS, STREAMS)

    def _cpu(self) -> float:
        return _cpu() + float(_ask(self._server[0], "cpu")) + float(_ask(self._host, "cpu"))


class _Server:
    def __init__(self, root: Path) -> None:
        self._keyring = Keyring.open(root / "keys")
        self._store = Store(root / "store", self._keyring)
        self._root = root
        self._version = 0

    def missing(self, canonical: bytes) -> list[str]:
        return self._store.missing(PROJECT, parse(canonical))

    def commit(self, canonical: bytes) -> str:
        return self._store.commit(PROJECT, parse(canonical))

    def deploy(self, release: str) -> tuple[dict[str, float], int]:
        """Seal what the host lacks and send it there, as the coordinator's two steps do."""
        laps = Laps()
        self._version += 1
        with _connect(self._root / "host.sock") as host:
            with laps.lap("seal"):
                canonical = self._store.manifest(PROJECT, release).canonical
                lacking = _ask(host, "lacking", canonical)
                package = self._store.seal(PROJECT, release, SCOPE, self._version, lacking)
            with laps.lap("stage"), package.path.open("rb") as file:
                key = self._keyring.environment_key(SCOPE)
                host.send(("receive", (key, self._keyring.public_key, release)))
                while chunk := file.read(_CHUNK):
                    host.send_bytes(chunk)
                host.send_bytes(b"")
                host.recv()
        self._store.discard(package)
        return laps.seconds, package.bytes

    def answer(self, connection: Connection) -> None:
        def segment() -> int:
            return self._store.add_segment(PROJECT, connection.recv_bytes())

        _answer(connection, self, segment=segment)


class _Host:
    def __init__(self, root: Path) -> None:
        self._releases = HostReleases(root / "host")

    def lacking(self, canonical: bytes) -> list[str]:
        return self._releases.missing(parse(canonical))

    def answer(self, connection: Connection) -> None:
        def receive(key: bytes, public_key: str, release: str) -> None:
            self._releases.receive(_Stream(connection), key, public_key, SCOPE, release)

        _answer(connection, self, receive=receive)


class _Stream:
    """The messages of a connection as a stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunk = memoryview(b"")
        self._ended = False

    def read(self, size: int, /) -> bytes:
        if not self._chunk and not self._ended:
            self._chunk = memoryview(self._connection.recv_bytes())
            self._ended = not self._chunk
        piece, self._chunk = self._chunk[:size], self._chunk[size:]
        return bytes(piece)


def _ask(connection: Connection, what: str, *arguments: Any) -> Any:
    connection.send((what, arguments))
    return connection.recv()


def _answer(connection: Connection, server: object, **more: Callable[..., Any]) -> None:
    calls: dict[str, Callable[..., Any]] = {"cpu": _cpu, "peak": _peak, **more}
    with connection:
        while True:
            try:
                what, arguments = connection.recv()
            except (EOFError, OSError):
                return
            connection.send((calls.get(what) or getattr(server, what))(*arguments))


def _connect(path: Path) -> Connection:
    deadline = time.monotonic() + 30
    while True:
        try:
            return Client(str(path), "AF_UNIX")
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    role, root = sys.argv[1], Path(sys.argv[2])
    server = _Server(root) if role == "server" else _Host(root)
    with Listener(str(root / f"{role}.sock"), "AF_UNIX") as listener:
        parent = os.getppid()
        while os.getppid() == parent:
            Thread(target=server.answer, args=(listener.accept(),), daemon=True).start()


if __name__ == "__main__":
    main()
