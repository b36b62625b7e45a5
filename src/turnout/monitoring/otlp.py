"""Sending traces to a collector by OTLP over HTTP, where an endpoint is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import httpx2

import turnout
from turnout.base.errors import Failed, InvalidInput, Unreachable
from turnout.monitoring.tracing import Span, spans
from turnout.wire.api import DeploymentDetail

_TIMEOUT_S = 10.0
_TRIES = 4
_BACK_OFF_S = 0.5
_AGAIN = frozenset({429, 502, 503, 504})
"""What may be sent again: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response."""


@dataclass(frozen=True)
class Endpoint:
    """Where traces go.

    Attributes:
        url: The whole address, ``/v1/traces`` included.
        headers: Sent along, such as an access token; never shown.
        timeout: Seconds for one try.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = _TIMEOUT_S


def endpoint_of(environ: Mapping[str, str], setting: str | None = None) -> Endpoint | None:
    """Return where traces go, or None if nobody asked for them.

    The variables are those of https://opentelemetry.io/docs/specs/otel/protocol/exporter/:
    the endpoint and headers for all signals, or those for traces alone, and ``timeout`` in
    milliseconds.

    Args:
        environ: The environment variables.
        setting: A base address that the server was given itself; it comes first.

    Raises:
        InvalidInput: The address is none of HTTP.
    """
    base = setting or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    url = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "") if not setting else ""
    if not url:
        if not base:
            return None
        url = base.rstrip("/") + "/v1/traces"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(
            "That is no address to send traces to",
            subject=parts.scheme[:20],
            next_step="Give one as http://HOST:4318.",
        )
    headers = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get(
        "OTEL_EXPORTER_OTLP_HEADERS", ""
    )
    timeout = environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or environ.get(
        "OTEL_EXPORTER_OTLP_TIMEOUT", ""
    )
    seconds = int(timeout) / 1000 if timeout.isdigit() and int(timeout) else _TIMEOUT_S
    return Endpoint(url, _headers(headers), min(seconds, 60.0))


async def export(detail: DeploymentDetail, endpoint: Endpoint) -> int:
    """Send the trace of a deployment; return how many spans it has.

    Raises:
        Unreachable: The collector cannot be reached, or not now.
        Failed: It refuses the trace.
    """
    made = spans(detail)
    body = await asyncio.to_thread(_encoded, made)
    why = ""
    # A collector's redirect is not followed: the headers are for that address alone.
    async with httpx2.AsyncClient(
        follow_redirects=False, trust_env=False, timeout=endpoint.timeout
    ) as client:
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_BACK_OFF_S * 2 ** (number - 1))
            try:
                status = await _post(client, endpoint, body)
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
                why = type(error).__name__
                continue
            if 200 <= status < 300:
                return len(made)
            if status not in _AGAIN:
                raise Failed(
                    "The collector of traces refuses this one",
                    subject=detail.id,
                    why=f"it answered {status}",
                    next_step="Check the endpoint and the headers that OTEL_EXPORTER_OTLP_* name.",
                )
            why = f"it answered {status}"
    raise Unreachable(
        "The collector of traces cannot be reached",
        subject=detail.id,
        why=why,
        next_step="Check OTEL_EXPORTER_OTLP_ENDPOINT.",
    )


async def _post(client: httpx2.AsyncClient, endpoint: Endpoint, body: bytes) -> int:
    headers = {**endpoint.headers, "Content-Type": "application/x-protobuf"}
    async with (
        asyncio.timeout(endpoint.timeout),
        # What it answers beyond the status is of no use and may be long: it is not read.
        client.stream("POST", endpoint.url, content=body, headers=headers) as response,
    ):
        return response.status_code


def _encoded(made: tuple[Span, ...]) -> bytes:
    # Some twelve MiB of code that a server without an endpoint never needs.
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    resource = Resource({"service.name": "turnout", "service.version": turnout.__version__})
    scope = InstrumentationScope("turnout", turnout.__version__)

    def context(trace: str, span: str) -> SpanContext:
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=sampled)

    encoded = encode_spans(
        [
            ReadableSpan(
                name=span.name,
                context=context(span.trace, span.id),
                parent=context(span.trace, span.parent) if span.parent else None,
                resource=resource,
                instrumentation_scope=scope,
                attributes=dict(span.attributes),
                status=Status(StatusCode.OK)
                if span.error is None
                else Status(StatusCode.ERROR, span.error),
                start_time=span.started,
                end_time=span.ended,
            )
            for span in made
        ]
    )
    return bytes(encoded.SerializeToString())


def _headers(text: str) -> dict[str, str]:
    """Read ``name=value,name=value`` with percent escapes in the values."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        clean = unquote(value.strip())
        if equals and name.strip() and clean.isprintable():
            found[name.strip()] = clean
    return found
