"""Questions to Envoy's admin interface over its unix socket.

One short connection a question, read to its end: the cheapest thing that can be asked every
two milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnout.base.errors import Unreachable


class Admin:
    """The admin interface of one Envoy.

    Args:
        socket: Its unix socket.
        timeout_s: How long one answer may take.
    """

    def __init__(self, socket: Path, timeout_s: float = 5.0) -> None:
        self._socket = str(socket)
        self._timeout_s = timeout_s

    async def live(self) -> bool:
        """Return whether Envoy has all it needs and serves."""
        try:
            status, _ = await self._ask("GET", "/ready")
        except Unreachable:
            return False
        return status == 200

    async def stats(self, pattern: str) -> dict[str, Any]:
        """Return statistics whose name matches the RE2 expression *pattern*.

        Returns:
            Name to value; a histogram's value is a list of pairs of a bucket's upper bound and
            how many it holds since the process started, without empty buckets.

        Raises:
            Unreachable: Envoy does not answer.
        """
        document = await self._json(
            f"/stats?format=json&histogram_buckets=disjoint&filter={quote(pattern, safe='')}"
        )
        return _flatten(document)

    async def epoch(self) -> int:
        """Return how many processes came before this one that serves; -1 if it does not yet.

        Raises:
            Unreachable: Envoy does not answer.
        """
        document = await self._json("/server_info")
        if document.get("state") != "LIVE":
            return -1
        return int(document["command_line_options"].get("restart_epoch", 0))

    async def hot_restart_version(self) -> str:
        """Return what a successor must report to take over from this process.

        Raises:
            Unreachable: Envoy does not answer.
        """
        status, body = await self._ask("GET", "/hot_restart_version")
        if status != 200:
            raise self._unreachable(f"status {status}")
        return body.decode(errors="replace").strip()

    async def active_requests(self, clusters: Sequence[str]) -> dict[str, int]:
        """Return the address of each instance of *clusters* and its requests under way.

        Raises:
            Unreachable: Envoy does not answer.
        """
        pattern = "|".join(f"^{re.escape(name)}$" for name in clusters)
        document = await self._json(f"/clusters?format=json&filter={quote(pattern, safe='')}")
        found: Counter[str] = Counter()
        for status in document.get("cluster_statuses", ()):
            if status.get("name") in clusters:
                for host in status.get("host_statuses", ()):
                    found[_address(host["address"])] += _active(host)
        return dict(found)

    async def reopen_logs(self) -> None:
        """Make Envoy open its log file anew, after it was renamed."""
        await self._ask("POST", "/reopen_logs")

    async def _json(self, path: str) -> dict[str, Any]:
        status, body = await self._ask("GET", path)
        try:
            document = json.loads(body)
        except ValueError as error:
            raise self._unreachable(f"no JSON in the answer with status {status}") from error
        if status != 200 or not isinstance(document, dict):
            raise self._unreachable(f"status {status}")
        return document

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(method, path)
        except (OSError, ValueError, IndexError, TimeoutError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error

    async def _exchange(self, method: str, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            request = f"{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
            writer.write(request.encode("ascii"))
            raw = await reader.read(-1)
        finally:
            writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        chunked = b"transfer-encoding: chunked" in head.lower()
        return status, _dechunk(body) if chunked else body

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            "The router's admin interface does not answer",
            subject=self._socket,
            why=why,
            next_step="See the router's log; starting the agent again starts the router.",
        )


def _dechunk(body: bytes) -> bytes:
    parts: list[bytes] = []
    position = 0
    while True:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2


def _flatten(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in document.get("stats", []):
        if "histograms" not in entry:
            found[entry["name"]] = entry["value"]
            continue
        for histogram in entry["histograms"]:
            found[histogram["name"]] = [
                (float(bucket["upper_bound"]), int(bucket["cumulative"]))
                for bucket in histogram["buckets"]
                if bucket["cumulative"]
            ]
    return found


def _address(address: dict[str, Any]) -> str:
    if "pipe" in address:
        return f"unix:{address['pipe']['path']}"
    socket = address["socket_address"]
    host = socket["address"]
    return f"[{host}]:{socket['port_value']}" if ":" in host else f"{host}:{socket['port_value']}"


def _active(host: dict[str, Any]) -> int:
    return sum(
        int(stat.get("value", 0)) for stat in host.get("stats", ()) if stat["name"] == "rq_active"
    )
