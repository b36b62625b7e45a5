"""The stream of events, read without a gap across restarts of the server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
from pydantic import ValidationError

from turnout.base.errors import Unreachable
from turnout.cli import client as clients
from turnout.cli.client import Client
from turnout.cli.lost import Lost, lost_as_such
from turnout.wire.api import Event

QUIET_S = 20.0
"""The server sends a sign of life every few seconds; a longer silence is a lost connection."""


class EventStream:
    """Server-sent events, with ``Last-Event-ID`` on every new connection.

    Args:
        client: Whom to ask.
        path: The address of the stream.
        after: Number of the last event that is known already; None starts at the beginning.
        params: Further parameters of the address.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        after: int | None = None,
        params: dict[str, str] | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._params = params or {}
        self.last = None if after is None else str(after)

    def __iter__(self) -> Iterator[Event]:
        """Yield events until the server ends the stream.

        Raises:
            TurnoutError: The server refuses, or stays away too long.
        """
        for message in self.messages():
            try:
                yield Event.model_validate_json(message.data)
            except ValidationError:
                continue  # of a newer server, or a sign of life

    def messages(self) -> Iterator[httpx2.ServerSentEvent]:
        """Yield the messages as they come, until the server ends the stream."""
        heard = time.monotonic()
        while True:
            response = self._client.persist(self._connect)
            try:
                if response.status_code == 204:
                    return  # it has ended, and its last event is known
                with lost_as_such():
                    for message in httpx2.EventSource(response):
                        heard = time.monotonic()
                        self.last = message.id or self.last
                        if message.data:
                            yield message
                return
            except Lost as lost:
                if lost.hopeless:
                    raise self._client.unreachable(lost.error) from lost.error
                if time.monotonic() - heard > clients.RESTART_S + QUIET_S:
                    raise Unreachable(
                        "The server keeps closing the stream of events",
                        subject=self._client.login.address,
                        next_step="`turnout doctor` may say why.",
                    ) from lost
                # A server that accepts and hangs up at once must not be asked in a tight loop.
                time.sleep(0.1)
            finally:
                response.close()

    def _connect(self) -> httpx2.Response:
        client = self._client
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if self.last is not None:
            headers["last-event-id"] = self.last
        request = client.http.build_request(
            "GET",
            self._path,
            params=self._params,
            headers=headers,
            timeout=httpx2.Timeout(QUIET_S, connect=5.0),
        )
        with lost_as_such():
            response = client.http.send(request, stream=True)
            client.answered = True
            if response.is_success:
                return response
            response.read()
        raise client.error_in(response)
