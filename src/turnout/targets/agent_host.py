"""A host reached through its agent's unix socket.

Each request opens a connection of its own: on a unix socket that costs microseconds, and a
connection that the agent's restart left half-dead can then never be picked up.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from turnout.base.errors import Failed, Unreachable, from_document
from turnout.targets.port import Host
from turnout.wire import agent as wire
from turnout.wire.statistics import HostStatistics

QUICK = 30.0
"""Seconds that an answer from what the agent knows may take."""
LONG = 900.0
"""Seconds that laying out, starting, stopping or pruning may take."""
TRANSFER = 3600.0
"""Seconds that one package may take."""
SLACK = 30.0
"""Seconds beyond what a request itself says that it waits."""

_CHUNK = 256 << 10
_ROOT = f"/wire/v{wire.VERSION}"
Answer = TypeVar("Answer", bound=BaseModel)


class AgentHost(Host):
    """The agent of one host; it may be used from several event loops at once.

    Args:
        name: The host's name.
        socket: Where its agent listens.
        token: What the agent asks its peers for, if it does.
    """

    def __init__(self, name: str, socket: Path, token: str | None = None) -> None:
        self.name = name
        self._socket = socket
        self._token = token
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    async def hello(self) -> wire.Hello:
        found = await self._get("/wire/hello", wire.Hello)
        if wire.VERSION not in found.versions:
            raise Failed(
                "The agent speaks no wire version that this server speaks",
                subject=self.name,
                why=f"it speaks {', '.join(map(str, found.versions))}; here {wire.VERSION}",
                next_step="Bring both to the same version of Turnout.",
            )
        return found

    async def facts(self) -> wire.HostFacts:
        return await self._get(f"{_ROOT}/facts", wire.HostFacts)

    async def lacking(self, scope: str, manifest: bytes) -> tuple[str, ...]:
        path = f"{_ROOT}/lacking/{scope}"
        response = await self._ask("POST", path, LONG, manifest)
        return self._read(response, wire.Lacking).digests

    async def stage(self, trust: wire.Trust, package: Path) -> wire.Staged:
        content = _with_preamble(trust, package)
        response = await self._ask("POST", f"{_ROOT}/stage", TRANSFER, content)
        return self._read(response, wire.Staged)

    async def ensure_site(self, wanted: wire.SiteWanted) -> None:
        await self._do("site", wanted, LONG)

    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        await self._do("bridge", wanted, LONG)

    async def ensure_instance(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        return await self._say("instance", wanted, LONG, wire.InstanceFact)

    async def remove_instances(self, gone: wire.InstanceGone) -> None:
        await self._do("remove", gone, gone.grace + LONG)

    async def await_ready(self, wanted: wire.ReadyWanted) -> wire.ProbeResult:
        deadline = wanted.health.deadline + SLACK
        return await self._say("ready", wanted, deadline, wire.ProbeResult)

    async def probe(self, wanted: wire.ProbeWanted) -> wire.ProbeResult:
        return await self._say("probe", wanted, wanted.timeout + SLACK, wire.ProbeResult)

    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        return await self._say("route", wanted, 2 * QUICK, wire.RoutesApplied)

    async def unroute(self, scope: str) -> None:
        await self._ask("DELETE", f"{_ROOT}/routes/{scope}", 2 * QUICK)

    async def drain(self, wanted: wire.DrainWanted) -> wire.Drained:
        return await self._say("drain", wanted, wanted.deadline + SLACK, wire.Drained)

    async def statistics(self) -> HostStatistics:
        return await self._get(f"{_ROOT}/statistics", HostStatistics)

    async def run_command(self, wanted: wire.CommandWanted) -> wire.CommandResult:
        return await self._say("command", wanted, wanted.timeout + SLACK, wire.CommandResult)

    async def restart_router(self) -> wire.RouterRestarted:
        response = await self._ask("POST", f"{_ROOT}/router/restart", LONG)
        return self._read(response, wire.RouterRestarted)

    async def access_log(self, wanted: wire.AccessLogWanted) -> None:
        await self._do("access-log", wanted, QUICK)

    async def traffic(self, scope: str) -> wire.TrafficReport:
        return await self._get(f"{_ROOT}/traffic/{scope}", wire.TrafficReport)

    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        return await self._say("prune", wanted, LONG, wire.Pruned)

    async def logs(self, wanted: wire.LogsWanted) -> wire.LogPage:
        return await self._say("logs", wanted, wanted.wait + SLACK, wire.LogPage)

    async def halt(self) -> None:
        await self._ask("POST", f"{_ROOT}/halt", LONG)

    async def follow_logs(self, wanted: wire.LogsWanted) -> AsyncIterator[wire.LogLine]:
        while True:
            page = await self.logs(wanted)
            for line in page.lines:
                yield line
            if not page.cursor:
                # Nothing was ever written, so there is no place to go on from yet.
                await asyncio.sleep(0.1)
            wanted = wanted.model_copy(update={"cursor": page.cursor, "wait": 20.0})

    async def close(self) -> None:
        """Close the client of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _get(self, path: str, model: type[Answer]) -> Answer:
        return self._read(await self._ask("GET", path, QUICK), model)

    async def _say(
        self, name: str, message: BaseModel, deadline: float, model: type[Answer]
    ) -> Answer:
        return self._read(await self._do(name, message, deadline), model)

    async def _do(self, name: str, message: BaseModel, deadline: float) -> httpx2.Response:
        content = message.model_dump_json().encode()
        return await self._ask("POST", f"{_ROOT}/{name}", deadline, content)

    async def _ask(
        self,
        method: str,
        path: str,
        deadline: float,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx2.Response:
        """Send one request and return its good answer.

        Args:
            deadline: Seconds for the whole exchange; there is no other limit on reading.

        Raises:
            Unreachable: The agent does not answer, or not in time.
            TurnoutError: Whatever the agent said.
        """
        try:
            async with asyncio.timeout(deadline):
                response = await self._client().request(method, path, content=content)
        except TimeoutError:
            raise self._unreachable(f"no answer within {deadline:g} s") from None
        except httpx2.TransportError as error:
            raise self._unreachable(str(error) or type(error).__name__) from error
        if response.is_success:
            return response
        try:
            document = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            document = None
        if not isinstance(document, dict):
            raise self._unreachable(
                f"what answers there is no agent (status {response.status_code})"
            )
        raise from_document(document)

    def _read(self, response: httpx2.Response, model: type[Answer]) -> Answer:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise Failed(
                "The agent's answer cannot be understood",
                subject=self.name,
                why=f"{error.error_count()} fields of {model.__name__} are wrong",
                next_step="Bring server and agent to the same version of Turnout.",
            ) from None

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            client = self._clients[loop] = httpx2.AsyncClient(
                base_url="http://agent",
                headers=headers,
                transport=httpx2.AsyncHTTPTransport(
                    uds=str(self._socket),
                    # Nothing is encrypted on the socket, and loading the machine's
                    # certificates would block the loop for 17 ms each time.
                    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
                ),
                timeout=httpx2.Timeout(None, connect=5.0),
                trust_env=False,
            )
        return client

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            "The host's agent does not answer",
            subject=self.name,
            why=why,
            next_step="See whether it runs: `turnout doctor`.",
        )


async def _with_preamble(trust: wire.Trust, package: Path) -> AsyncIterator[bytes]:
    """Yield the trust as one line, then the package, read in a thread."""
    yield trust.model_dump_json().encode() + b"\n"
    with await asyncio.to_thread(package.open, "rb", 0) as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
