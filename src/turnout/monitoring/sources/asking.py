"""Asking an HTTP server for a small JSON document: bounded in size and time, no redirects.

What goes wrong is told without the address's query, name and password: an error is shown to
people who may deploy, which are more than those who may read the metrics.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

_MOST_BYTES = 1 << 20


class NotTold(Exception):
    """There is no document; the text says why, and holds no secret."""


async def ask(url: str, params: Mapping[str, str], timeout: float) -> Any:
    """Return the JSON document at *url*.

    Args:
        url: Where; a name and password in it are sent as basic authentication.
        params: Added to its query.
        timeout: Seconds for all of it.

    Raises:
        NotTold: It cannot be had.
    """
    place = shown(url)
    try:
        async with (
            asyncio.timeout(timeout),
            # The server's own proxy settings are not those of the metrics.
            httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout) as client,
            client.stream(
                "GET",
                httpx2.URL(url).copy_merge_params(dict(params)),
                headers={"Accept": "application/json", "User-Agent": "turnout"},
            ) as response,
        ):
            body = await _body(response, place)
            status = response.status_code
    except TimeoutError:
        raise NotTold(f"{place} did not answer within {timeout:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
        # The text of such an error may hold the address.
        raise NotTold(f"{place} cannot be asked: {type(error).__name__}") from None
    if 300 <= status < 400:
        raise NotTold(f"{place} answered {status}; redirects are not followed")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status != 200:
        detail = document.get("error") if isinstance(document, dict) else None
        said = f": {detail[:200]}" if isinstance(detail, str) else ""
        raise NotTold(f"{place} answered {status}{said}")
    if document is None:
        raise NotTold(f"{place} did not answer with JSON")
    return document


def shown(url: str) -> str:
    """Return an address as it may be shown: scheme, host and port."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the metric's address"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


async def _body(response: httpx2.Response, place: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise NotTold(f"{place} answered with more than {_MOST_BYTES >> 20} MiB")
    return bytes(body)
