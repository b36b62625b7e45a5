"""How Envoy is started, and what is written down about a process that runs: pure functions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.base.errors import Failed
from turnout.base.rundir import SOCKET_LIMIT

DRAIN_S = 30
"""Seconds over which the old process asks clients to connect anew after a hot restart."""
PARENT_SHUTDOWN_S = 600
"""Seconds after which the old process ends, whatever is still under way in it."""


@dataclass(frozen=True)
class Note:
    """What is remembered of a running process.

    Attributes:
        listen: ``address:port`` that it serves.
        digest: Of its bootstrap configuration.
        version: Of the program.
        epoch: How many took over since the last start from nothing.
        since: When it was started, in nanoseconds since 1970, hexadecimal; it names the
            counters, which begin anew with each process.
    """

    listen: str
    digest: str
    version: str
    epoch: int
    since: str

    def __str__(self) -> str:
        return f"{self.listen} {self.digest} {self.version} {self.epoch} {self.since}"

    def differs(self, other: Note) -> bool:
        """Return whether the two run something else; an unknown version is no difference."""
        versions = {self.version, other.version} - {"-"}
        return (self.listen, self.digest) != (other.listen, other.digest) or len(versions) > 1

    def age_s(self, now_ns: int) -> float:
        """Return how many seconds ago it was started."""
        return (now_ns - int(self.since or "0", 16)) / 1e9


def read_note(text: str) -> Note:
    """Return what :class:`Note` wrote; an older version of ours wrote less."""
    parts = [*text.split(" "), *[""] * 5][:5]
    epoch = int(parts[3]) if parts[3].isdecimal() else 0
    return Note(parts[0], parts[1], parts[2] or "-", epoch, parts[4])


def note(config: dict[str, Any], version: str, since: str) -> Note:
    """Return the note of a process that starts from nothing."""
    digest = hashlib.sha256(repr(config).encode()).hexdigest()[:12]
    return Note(listen(config), digest, version, 0, since)


def listen(config: dict[str, Any]) -> str:
    """Return the address and port of a bootstrap configuration."""
    address = config["static_resources"]["listeners"][0]["address"]["socket_address"]
    return f"{address['address']}:{address['port_value']}"


def argv(
    binary: Path, config: Path, state_dir: Path, run_dir: Path, log: Path, epoch: int
) -> Sequence[str]:
    """Return Envoy's command line."""
    return [
        str(binary),
        *("--config-path", str(config)),
        *("--base-id", str(base_id(state_dir))),
        *("--restart-epoch", str(epoch)),
        *("--drain-time-s", str(DRAIN_S)),
        *("--parent-shutdown-time-s", str(PARENT_SHUTDOWN_S)),
        *("--socket-path", str(run_dir / "envoy")),
        *("--socket-mode", "600"),
        *("--log-level", "warning"),
        *("--log-path", str(log)),
        # Lines of the access log wait in memory for so long at most.
        *("--file-flush-interval-msec", "1000"),
        *("--concurrency", str(max(2, min(8, os.cpu_count() or 2)))),
    ]


def admin_socket(run_dir: Path) -> Path:
    """Return where the admin interface listens.

    Raises:
        Failed: The path would not fit into a socket address.
    """
    path = run_dir / "envoy-admin.sock"
    if len(os.fsencode(path)) > SOCKET_LIMIT:
        raise Failed(
            "The directory for sockets has too long a path",
            subject=str(run_dir),
            why=f"a socket's path holds at most {SOCKET_LIMIT} bytes",
            next_step="Choose a shorter directory, for instance under /run or /tmp.",
        )
    return path


def shared_memory(state_dir: Path) -> Path:
    """Return where the processes of one data directory share memory."""
    return Path("/dev/shm") / f"envoy_shared_memory_{base_id(state_dir)}0"  # noqa: S108


def base_id(state_dir: Path) -> int:
    """Return the number that keeps the shared memory of several Envoys on one host apart.

    Envoy multiplies it by ten in 32 bits, so it stays below 2**32 / 10.
    """
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).digest()
    return int.from_bytes(digest[:8], "big") % 400_000_000
