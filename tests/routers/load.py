"""Clients of five kinds that note every failure, for as long as a test wants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.routers.upstream import Client


class Load:
    """Clients on one port; nothing is ever repeated."""

    def __init__(self, port: int, *, streams: bool = True) -> None:
        self.port = port
        self.streams = streams
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        kinds = [*[self.keep_alive] * 3, *[self.new_connection] * 3]
        long = [*[self.upload] * 3, self.web_socket, self.events] if self.streams else []
        async with asyncio.TaskGroup() as group:
            for kind in [*kinds, *long]:
                group.create_task(self._repeat(kind))
            yield self
            self.stopping = True

    async def more(self, kind: str, count: int) -> None:
        """Return when *count* more of one kind are done, or one of any kind failed."""
        wanted = self.done[kind] + count
        async with asyncio.timeout(30):
            while self.done[kind] < wanted and not self.failures:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _repeat(self, kind: Callable[[Client], Awaitable[None]]) -> None:
        client = Client(self.port)
        while not self.stopping:
            try:
                await kind(client)
                self.done[kind.__name__] += 1
            except (OSError, EOFError, AssertionError, ValueError) as error:
                self.failures.append(f"{kind.__name__}: {error!r}")
                await client.close()
        await client.close()

    async def keep_alive(self, client: Client) -> None:
        answer = await client.get()
        assert answer.status == 200, answer

    async def new_connection(self, client: Client) -> None:
        await self.keep_alive(client)
        await client.close()

    async def upload(self, client: Client) -> None:
        answer = await client.upload(chunks=10, pause_s=0.01)
        assert answer.status == 200 and b'"length": 10000' in answer.body, answer

    async def web_socket(self, client: Client) -> None:
        assert (await client.upgrade()).status == 101
        name = (await client.say("hello")).split()[0]
        for number in range(30):
            assert await client.say(str(number)) == f"{name} {number}"
            await asyncio.sleep(0.01)
        await client.close()

    async def events(self, client: Client) -> None:
        assert (await client.head("GET", "/events")).status == 200
        name = (await client.event()).split()[0]
        for number in range(1, 40):
            assert await client.event() == f"{name} {number}"
        await client.close()
