"""Errors as people and scripts see them: text on stderr, RFC 9457 documents on stdout."""

from __future__ import annotations

from typing import Any

from turnout.base.errors import (
    Conflict,
    Failed,
    InvalidInput,
    NotFound,
    Refused,
    TurnoutError,
    Unauthenticated,
    Unreachable,
    from_document,
    names,
)

TYPE_PREFIX = "urn:turnout:problem:"

_TITLES = {
    "invalid-input": "The request is not valid",
    "not-found": "Not found",
    "refused": "Not allowed",
    "unauthenticated": "A token is needed",
    "conflict": "Something else holds what is needed",
    "impossible": "Things stand so that it cannot be done",
    "unreachable": "A server or host cannot be reached",
    "failed": "What was asked did not work",
    "untrusted": "A signature or digest did not match",
    "exhausted": "A resource ran out",
    "aborted": "Called off",
}
_OF_STATUS: dict[int, type[TurnoutError]] = {
    401: Unauthenticated,
    403: Refused,
    404: NotFound,
    409: Conflict,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}
_MOST_DETAIL = 4000
"""Characters of a server's answer that an error repeats."""


def document_of(error: TurnoutError) -> dict[str, Any]:
    """Return *error* as a problem document, unchanged if the server sent it as one."""
    sent = getattr(error, "sent_document", None)
    if isinstance(sent, dict):
        return sent
    return {
        "type": TYPE_PREFIX + error.problem,
        "title": _TITLES.get(error.problem, "Something went wrong"),
        "status": error.status,
        "detail": str(error),
        "instance": "",
        "subject": error.subject,
        "next_step": error.next_step,
        "facts": error.facts,
    }


def error_of(status: int, document: object, text: str = "") -> TurnoutError:
    """Return the error that an answer of the server means.

    Args:
        status: The HTTP status.
        document: The body as JSON; anything but a problem document is ignored.
        text: The body as text, for answers that no Turnout server gives.
    """
    if not isinstance(document, dict) or "title" not in document:
        return _kind_of(status)(
            f"The server answered with status {status}",
            why=" ".join(text.split())[:200],
            next_step="Check that the address is that of a Turnout server.",
        )
    name = str(document.get("type", "")).rpartition(":")[2]
    kind: type[TurnoutError] = type(from_document({"problem": name}))
    if name not in _TITLES:
        kind = _kind_of(status)
    facts = document.get("facts")
    error = kind(
        str(document.get("detail") or document["title"])[:_MOST_DETAIL],
        subject=str(document.get("subject", "")),
        next_step=str(document.get("next_step", "")),
        facts=facts if isinstance(facts, dict) else {},
    )
    error.sent_document = document  # type: ignore[attr-defined]
    return error


def text_of(error: TurnoutError) -> str:
    """Return what happened, to what, why, and what to do next, for a terminal."""
    lines = [f"error: {error.what}"]
    if not names(error.what, error.subject):
        lines[0] += f": {error.subject}"
    if error.why:
        lines += [f"  {line}" for line in error.why.splitlines()]
    if error.next_step:
        lines.append(f"next:  {error.next_step}")
    return "\n".join(visible(line) for line in lines)


def visible(text: str) -> str:
    """Return *text* without control characters: what a server sends must not drive a terminal."""
    return "".join(
        letter if letter.isprintable() or letter == "\t" else f"\\x{ord(letter):02x}"
        for letter in text
    )


def placed(title: str, host: object) -> str:
    """Return the title of a step with its host, unless the title names it."""
    return f"{title} on {host}" if host and str(host) not in title.split() else title


def _kind_of(status: int) -> type[TurnoutError]:
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    return InvalidInput if 400 <= status < 500 else Failed
