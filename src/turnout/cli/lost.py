"""Answers that got lost on their way, and whether to ask again can help."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2


class Lost(Exception):
    """No answer came.

    Attributes:
        error: What happened instead.
        hopeless: Whether asking again cannot help.
    """

    def __init__(self, error: httpx2.HTTPError) -> None:
        super().__init__(str(error))
        self.error = error
        wrong = (
            httpx2.UnsupportedProtocol,
            httpx2.LocalProtocolError,
            httpx2.ProxyError,
            httpx2.SSEError,
        )
        self.hopeless = (
            not isinstance(error, httpx2.TransportError)
            or isinstance(error, wrong)
            or certificate_error(error) is not None
        )


@contextmanager
def lost_as_such() -> Iterator[None]:
    """Raise :class:`Lost` for an error of the connection."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise Lost(error) from error


def is_lost(response: httpx2.Response) -> bool:
    """Return whether the server asks to repeat: busy with this key, or a gateway without it."""
    if response.status_code == 409:
        return "retry-after" in response.headers
    from_gateway = "json" not in response.headers.get("content-type", "")
    return response.status_code in (502, 503, 504) and from_gateway


def certificate_error(error: BaseException | None) -> str | None:
    """Return why the server's certificate was refused; None if that is not what happened."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message if error.args[1:] else error.args[0])
        error = error.__cause__ or error.__context__
    return None
