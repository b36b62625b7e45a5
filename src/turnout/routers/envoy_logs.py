"""Envoy's own log and its access log: kept from growing for ever."""

from __future__ import annotations

import contextlib
from pathlib import Path

from turnout.base.errors import TurnoutError
from turnout.routers.envoy_admin import Admin
from turnout.routers.processes import last_lines

LOG_LIMIT_BYTES = 4 * 1024 * 1024
ACCESS_LIMIT_BYTES = 32 * 1024 * 1024


class Logs:
    """Both logs of one data directory.

    Args:
        directory: Where they stand.
        admin: The process that writes them.
    """

    def __init__(self, directory: Path, admin: Admin) -> None:
        self.process = directory / "envoy.log"
        self.access = access_file(directory)
        self._admin = admin

    async def trim(self) -> None:
        """Move a log aside when it has grown beyond its limit; one old one of each is kept."""
        with contextlib.suppress(OSError, TurnoutError):
            grown = [
                path
                for path, limit in (
                    (self.process, LOG_LIMIT_BYTES),
                    (self.access, ACCESS_LIMIT_BYTES),
                )
                if path.exists() and path.stat().st_size > limit
            ]
            for path in grown:
                path.replace(path.with_suffix(".log.1"))
            if grown:
                await self._admin.reopen_logs()

    def size(self) -> int:
        """Return how long the process's log is, for :meth:`said_since`."""
        return self.process.stat().st_size if self.process.exists() else 0

    def said_since(self, began_at: int) -> str:
        """Return what was added to the process's log since it was *began_at* bytes long."""
        return last_lines(self.process, max(0, self.size() - began_at) + 1).strip()


def access_file(directory: Path) -> Path:
    """Return where the access log of a data directory stands."""
    return directory / "access.log"
