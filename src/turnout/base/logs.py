"""The log of the program itself: JSON lines, from which secrets are taken out.

Everything that logs, our own code through structlog and libraries through ``logging``, goes
through the same last two steps: secrets are replaced, then the line is written.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

_FILE_BYTES = 10 << 20
_FILES_KEPT = 4
_SHORTEST_SECRET = 6

_SECRET_NAME = re.compile(
    r"token|secret|passw|authori[sz]ation|cookie|credential|session|^code$|(^|[_-])key$", re.I
)
_SECRET_TEXT = re.compile(
    r"turnout_[0-9a-z]{4,}_[A-Za-z0-9_-]{16,}"  # our own tokens
    r"|(?<=bearer )\S+|(?<=basic )[A-Za-z0-9+/=]{8,}"  # an Authorization header
    r"|(?<=[?&]code=)[^\s&\"']+"  # a one-time login code in an address
    r"|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"  # name and password in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.I | re.S,
)


def configure(
    *, file: Path | None = None, level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up logging for this process; a second call replaces the first.

    Args:
        file: Where JSON lines go, readable by the owner only, rotated at 10 MiB, four kept.
            Without it they go to *stream*.
        level: The lowest level that is written.
        stream: Standard error if absent.
    """
    handler: logging.Handler
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _PrivateFile(
            file, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
        )
    else:
        handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in ("httpx2", "httpcore2"):
        # One line for every question to the agent would drown the rest.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Access lines are written by the API's door, which knows what may be said.
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[*_common(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


@contextmanager
def bound(
    *,
    deployment: str | None = None,
    project: str | None = None,
    environment: str | None = None,
    release: str | None = None,
    phase: str | None = None,
    step: int | None = None,
    action: str | None = None,
    host: str | None = None,
) -> Iterator[None]:
    """Let every line that is logged within the block say what it is about.

    What is None stays as an enclosing block said.  It follows the work into tasks and into
    threads of :func:`asyncio.to_thread`, also for libraries that log by ``logging``.
    """
    facts = {
        "deployment": deployment,
        "project": project,
        "environment": environment,
        "release": release,
        "phase": phase,
        "step": step,
        "action": action,
        "host": host,
    }
    known = {name: value for name, value in facts.items() if value is not None}
    with structlog.contextvars.bound_contextvars(**known):
        yield


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values that are secret by their name or by their look; a structlog processor."""
    return {name: _clean(name, value) for name, value in event.items()}


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* with everything that looks like a secret, and all *secrets*, replaced."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _SECRET_TEXT.sub(REDACTED, text)


def secret_values(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of variables that are secret by their name, the longest first.

    What is too short would be found in words that are none.
    """
    found = {
        value
        for name, value in variables.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    }
    return tuple(sorted(found, key=len, reverse=True))


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) and value not in (None, "", True, False):
        return REDACTED
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes):
        return scrub(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return scrub(str(value))


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


class _PrivateFile(RotatingFileHandler):
    """A rotated file that nobody else can read, from its first moment on."""

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding)
