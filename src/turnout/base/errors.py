"""The one tree of errors, grouped by who is at fault.

    TurnoutError
    |- InvalidInput        the caller sent something wrong          exit 2, HTTP 422
    |  `- NotFound         ... a name that does not exist           exit 2, HTTP 404
    |- Refused             the caller may not do that               exit 3, HTTP 403
    |  `- Unauthenticated  ... or did not say who they are          exit 3, HTTP 401
    |- Conflict            something else holds what is needed      exit 7, HTTP 409
    |  `- Impossible       ... nothing holds it, but it cannot be   exit 1, HTTP 409
    |- Unreachable         a server or host does not answer         exit 6, HTTP 503
    |- Failed              what was asked was tried and went wrong  exit 1, HTTP 500
    |  |- Untrusted        ... a signature or digest did not match  exit 1, HTTP 500
    |  `- Exhausted        ... disk, memory or a limit ran out      exit 1, HTTP 507
    `- Aborted             somebody called it off                   exit 5, HTTP 409

Every error says what happened, to what, why, and what to do next.  The exit codes are those
of the command-line contract; the problem type is the last part of an RFC 9457 ``type``.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar


class TurnoutError(Exception):
    """Something that Turnout can explain.

    Args:
        what: One sentence on what happened, without a full stop at its end.
        subject: The thing it happened to (a name, path or identifier), if any.
        why: The cause, if it is known.
        next_step: What the reader can do about it.
        facts: Further values for machines; they must hold no secret.
    """

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    problem: ClassVar[str] = "error"

    def __init__(
        self,
        what: str,
        *,
        subject: str = "",
        why: str = "",
        next_step: str = "",
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.why = why
        self.next_step = next_step
        self.facts = facts or {}

    def __str__(self) -> str:
        text = self.what
        if not names(text, self.subject):
            text += f": {self.subject}"
        if self.why:
            text += f" ({self.why})"
        return text

    def to_document(self) -> dict[str, Any]:
        """Return the error as plain JSON values, to be read back by :func:`from_document`."""
        return {
            "problem": self.problem,
            "what": self.what,
            "subject": self.subject,
            "why": self.why,
            "next_step": self.next_step,
            "facts": self.facts,
        }


class InvalidInput(TurnoutError):
    """The caller sent something wrong."""

    exit_code, status, problem = 2, 422, "invalid-input"


class NotFound(InvalidInput):
    """A name does not exist."""

    exit_code, status, problem = 2, 404, "not-found"


class Refused(TurnoutError):
    """The caller may not do that."""

    exit_code, status, problem = 3, 403, "refused"


class Unauthenticated(Refused):
    """The caller did not say who they are."""

    exit_code, status, problem = 3, 401, "unauthenticated"


class Conflict(TurnoutError):
    """Something else holds what is needed."""

    exit_code, status, problem = 7, 409, "conflict"


class Impossible(Conflict):
    """Things stand so that it cannot be done, and to wait for somebody else does not help."""

    exit_code, status, problem = 1, 409, "impossible"


class Unreachable(TurnoutError):
    """A server or a host does not answer."""

    exit_code, status, problem = 6, 503, "unreachable"


class Failed(TurnoutError):
    """What was asked was tried and went wrong."""

    exit_code, status, problem = 1, 500, "failed"


class Untrusted(Failed):
    """A signature or a digest did not match."""

    exit_code, status, problem = 1, 500, "untrusted"


class Exhausted(Failed):
    """A disk, memory or a limit ran out."""

    exit_code, status, problem = 1, 507, "exhausted"


class Aborted(TurnoutError):
    """Somebody called it off."""

    exit_code, status, problem = 5, 409, "aborted"


def names(text: str, subject: str) -> bool:
    """Return whether *text* names *subject* as a word of its own, or there is none to name."""
    return not subject or bool(re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", text))


def from_document(document: dict[str, Any]) -> TurnoutError:
    """Return the error that :meth:`TurnoutError.to_document` described.

    An unknown problem, as a newer peer may send, becomes a plain :class:`Failed`.
    """
    kinds: dict[str, type[TurnoutError]] = {}
    for found in _all_kinds(TurnoutError):
        # The general kind comes first: a room's own error may share its problem.
        kinds.setdefault(found.problem, found)
    kind = kinds.get(str(document.get("problem", "")), Failed)
    facts = document.get("facts")
    return kind(
        str(document.get("what", "Something went wrong")),
        subject=str(document.get("subject", "")),
        why=str(document.get("why", "")),
        next_step=str(document.get("next_step", "")),
        facts=dict(facts) if isinstance(facts, dict) else {},
    )


def _all_kinds(kind: type[TurnoutError]) -> list[type[TurnoutError]]:
    return [kind] + [found for child in kind.__subclasses__() for found in _all_kinds(child)]
