"""Server-sent events as bytes: what the API and the dashboard send, and how it is framed.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import re

from pydantic import BaseModel

from turnout.wire.api import Event

MEDIA_TYPE = "text/event-stream"

HEARTBEAT = b": still here\n\n"
"""A comment, so that proxies and clients see that the line is up."""

_LINE_END = re.compile(r"\r\n|\n|\r")


def frame(
    data: str, *, kind: str = "", seq: int | None = None, retry_ms: int | None = None
) -> bytes:
    """Return one framed event.

    Args:
        data: Its text; line breaks in it are kept.
        kind: The name of the event; none means ``message``.
        seq: What the client sends back as ``Last-Event-ID``.
        retry_ms: How long a client waits before it connects again.
    """
    lines = []
    if seq is not None:
        lines.append(f"id: {seq}")
    if kind:
        lines.append(f"event: {kind}")
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    # Not splitlines: it also splits at characters that may stand inside a JSON text.
    lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return ("\n".join(lines) + "\n\n").encode()


def frame_event(event: Event) -> bytes:
    """Return an event of the event log, framed with its number and its kind."""
    return frame(text_of(event), kind=event.kind, seq=event.seq)


def text_of(message: BaseModel) -> str:
    """Return *message* as JSON of ASCII characters only.

    Many clients split lines at characters such as U+2028, which JSON may hold unescaped.
    """
    return message.model_dump_json(ensure_ascii=True)
