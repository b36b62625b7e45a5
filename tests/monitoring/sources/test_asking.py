"""Servers that misbehave: redirects, floods, other documents, other forms."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.monitoring.sources.servers import serving
from turnout.base.errors import InvalidInput
from turnout.monitoring.patterns import compiled
from turnout.monitoring.sources import Measurement, Target
from turnout.monitoring.sources.http import HttpSource
from turnout.monitoring.sources.prometheus import PrometheusSource
from turnout.wire.rollout import MetricSpec

pytestmark = pytest.mark.anyio
TARGET = Target("shop", "production", "f" * 64, "a" * 16)


async def _http(url: str, query: str = "/value", timeout: float = 2.0) -> Measurement:
    spec = MetricSpec(name="m", source="http", url=url, query=query, max=5, timeout=timeout)
    return await HttpSource(spec, TARGET).run("m-1")


async def _prometheus(url: str, timeout: float = 2.0) -> Measurement:
    spec = MetricSpec(name="m", source="prometheus", url=url, query="x", max=5, timeout=timeout)
    return await PrometheusSource(spec, TARGET).run("m-1")


async def test_a_redirect_is_not_followed() -> None:
    async with serving(body=b'{"value": 1}') as inner, serving(status=302) as outer:
        outer.headers = {"Location": inner.url}
        found = await _http(outer.url)
        assert found.word == "unavailable"
        assert "redirects are not followed" in found.reason
        assert not inner.requests


async def test_a_flood_is_cut_off() -> None:
    async with serving(endless=True) as web:
        found = await _http(web.url)
        assert found.word == "unavailable"
        assert "more than 1 MiB" in found.reason
        assert web.sent < 16 << 20


async def test_a_packed_flood_is_cut_off() -> None:
    import gzip

    body = gzip.compress(b" " * (64 << 20))
    async with serving(body=body, headers={"Content-Encoding": "gzip"}) as web:
        assert "more than 1 MiB" in (await _http(web.url)).reason


async def test_a_trickle_ends_in_time() -> None:
    async with serving(silent=True) as web:
        begun = time.monotonic()
        assert (await _http(web.url, timeout=0.3)).word == "unavailable"
        assert time.monotonic() - begun < 2


async def test_nobody_there() -> None:
    async with serving() as web:
        port = web.port
    found = await _http(f"http://user:hush@127.0.0.1:{port}/x?token=hush")
    assert (found.word, "hush" in found.reason) == ("unavailable", False)
    assert f"127.0.0.1:{port}" in found.reason


async def test_the_name_and_password_of_an_address_are_sent() -> None:
    async with serving(body=b'{"value": 1}') as web:
        url = f"http://user:hush@127.0.0.1:{web.port}/x?a={{project}}"
        assert (await _http(url)).word == "good"
        line, headers, _ = web.requests[0]
        assert line == "GET /x?a=shop HTTP/1.1"
        assert headers["authorization"] == "Basic dXNlcjpodXNo"


@pytest.mark.parametrize(
    ("document", "pointer", "word"),
    [
        ({"value": 1}, "/value", "good"),
        ({"value": "1.5"}, "/value", "good"),
        (3, "", "good"),
        ({"a/b": {"~": [0, 9]}}, "/a~1b/~0/1", "bad"),
        ({"value": None}, "/value", "unknown"),
        ({}, "/value", "unknown"),
        ([1], "/1", "unknown"),
        ([1], "/-", "unknown"),
        ([1], "/01", "unknown"),
        ({"value": True}, "/value", "unavailable"),
        ({"value": {}}, "/value", "unavailable"),
        ({"value": "many"}, "/value", "unavailable"),
        ({"value": 1}, "value", "unavailable"),
        ({"value": 10**400}, "/value", "unavailable"),
    ],
)
async def test_pointers(document: Any, pointer: str, word: str) -> None:
    async with serving(body=json.dumps(document).encode()) as web:
        assert (await _http(web.url, pointer)).word == word


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000])
async def test_what_is_not_json(body: bytes) -> None:
    async with serving(body=body) as web:
        assert (await _http(web.url)).word == "unavailable"
        assert (await _prometheus(web.url)).word == "unavailable"


def _answer(kind: str, result: Any) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": result}}
    ).encode()


@pytest.mark.parametrize(
    ("body", "word", "says"),
    [
        (_answer("scalar", [1, "3"]), "good", "3 is within"),
        (_answer("vector", [{"value": [1, "7"]}]), "bad", "7 is more than 5"),
        (_answer("vector", []), "unknown", "no result"),
        (_answer("vector", [{"value": [1, "NaN"]}]), "unknown", "nan"),
        (_answer("vector", [{"value": [1, "1"]}] * 2), "unavailable", "2 results"),
        (_answer("matrix", []), "unavailable", "matrix"),
        (_answer("vector", [{}]), "unavailable", "as Prometheus does"),
        (_answer("vector", 7), "unavailable", "as Prometheus does"),
        (b'{"status": "error"}', "unavailable", "as Prometheus does"),
        (b"[]", "unavailable", "as Prometheus does"),
    ],
)
async def test_forms_of_an_answer(body: bytes, word: str, says: str) -> None:
    async with serving(body=body) as web:
        found = await _prometheus(web.url)
        assert found.word == word
        assert says in found.reason


async def test_what_is_wrong_with_a_query_is_told() -> None:
    body = b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}'
    async with serving(status=400, body=body) as web:
        found = await _prometheus(web.url)
        assert (found.word, "unexpected end" in found.reason) == ("unavailable", True)


async def test_many_at_once_do_not_wait_for_one_another() -> None:
    async with serving(silent=True) as slow, serving(body=b'{"value": 1}') as quick:
        begun = time.monotonic()
        waiting = asyncio.gather(*(_http(slow.url, timeout=1.0) for _ in range(5)))
        assert (await _http(quick.url)).word == "good"
        assert time.monotonic() - begun < 0.9
        await waiting


@pytest.mark.parametrize("text", ["(", "(?=a)", r"(a)\1", "a" * 2000, "a{1000}{1000}"])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="no pattern"):
        compiled(text)


def test_no_line_makes_a_pattern_try_for_long() -> None:
    begun = time.monotonic()
    assert not compiled(r"(a+)+$").matches("a" * 200_000 + "b")
    assert time.monotonic() - begun < 1
    assert compiled("x").matches("\ud800x")
