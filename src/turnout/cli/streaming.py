"""The commands ``events`` and ``logs``: what happened, and what happens as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turnout.cli import options, output

if TYPE_CHECKING:
    from turnout.cli.client import Client
    from turnout.wire.api import Event, LogEntry

_PAGE = 500
_LAST_SEQ = 2**53
"""No event has a larger number; JSON readers count so far exactly."""
_REMEMBERED = 20_000
"""Log lines that are known after a new connection, which begins with the last ones again."""

Follow = Annotated[bool, options.flag("--follow", "-f", help="Go on with what comes.")]
Which = Annotated[str | None, typer.Argument(metavar="ID", help="Only those of this deployment.")]
After = Annotated[
    int | None,
    typer.Option("--after", metavar="SEQ", min=0, help="Only those with a later number."),
]
Tail = Annotated[
    int,
    typer.Option("--tail", "-n", metavar="LINES", min=0, max=10_000, help="So many last lines."),
]


def events(
    deployment: Which = None,
    follow: Follow = False,
    after: After = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Print events, oldest first.

    With -f it goes on: with an ID until that deployment ends, without one for ever.
    """
    from turnout.cli.rendering import event_line

    session = options.session(json, server, token, fingerprint)
    identifier = None if deployment is None else options.check_id(deployment)
    after = None if after is None else min(after, _LAST_SEQ)
    with session.client(_away) as client:
        source = client.events(identifier, after) if follow else _stored(client, identifier, after)
        for event in source:
            if session.json:
                output.json_line(event.model_dump(mode="json"))
            else:
                output.out(event_line(event))


def logs(
    deployment: options.DeploymentId,
    follow: Follow = False,
    tail: Tail = 200,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Print what the instances of a deployment wrote, oldest first.

    With -f it goes on until the deployment ends.
    """
    from turnout.cli.rendering import log_line
    from turnout.wire.api import LogEntry

    session = options.session(json, server, token, fingerprint)
    identifier = options.check_id(deployment)
    with session.client(_away) as client:
        if follow:
            source = _followed_log(client, identifier, tail)
        else:
            page = client.get(f"/deployments/{identifier}/logs", tail=tail)
            source = _entries(LogEntry, page)
        for entry in source:
            if session.json:
                output.json_line(entry.model_dump(mode="json"))
            else:
                output.out(log_line(entry))


def _stored(client: Client, deployment: str | None, after: int | None) -> Iterator[Event]:
    from turnout.cli.client import understood
    from turnout.wire.api import Event

    path = "/events" if deployment is None else f"/deployments/{deployment}/events"
    cursor: str | int | None = after
    while True:
        page = client.get(path, after=cursor, limit=_PAGE)
        for item in page["items"]:
            yield understood(Event, item)
        cursor = page.get("next_cursor")
        if cursor is None:
            return


def _entries(model: type[LogEntry], page: dict[str, Any]) -> Iterator[LogEntry]:
    from turnout.cli.client import understood

    for item in page["items"]:
        yield understood(model, item)


def _followed_log(client: Client, deployment: str, tail: int) -> Iterator[LogEntry]:
    """Yield log lines until the deployment has ended, each once."""
    from turnout.cli.events import EventStream
    from turnout.wire.api import LogEntry

    path = f"/deployments/{deployment}/logs"
    seen: dict[str, None] = {}
    while True:
        stream = EventStream(client, path, params={"tail": str(tail), "follow": "true"})
        for message in stream.messages():
            if message.event == "end":
                return
            if message.event != "log" or message.data in seen:
                continue
            seen[message.data] = None
            if len(seen) > _REMEMBERED:
                del seen[next(iter(seen))]
            yield LogEntry.model_validate_json(message.data)
        # Without "end" the server stopped: it is asked again, for at least what may be new.
        tail = max(tail, 200)
        time.sleep(0.3)


def _away(away: bool) -> None:
    output.err("reconnecting: the server does not answer" if away else "connected again")
