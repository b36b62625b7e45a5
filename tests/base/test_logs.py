"""The log is JSON lines, private, and holds nothing that looks like a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import secrets
from pathlib import Path

import pytest
import structlog

from turnout.base import logs

TOKEN = f"turnout_0123456789ab_{secrets.token_urlsafe(32)}"


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"header was Authorization: Bearer {TOKEN} and more",
        f"GET /login?code={TOKEN[-20:]}&x=1",
        f"postgresql+psycopg://turnout:{TOKEN[-20:]}@db/turnout",
        f"-----BEGIN PRIVATE KEY-----\n{TOKEN[-20:]}\n-----END PRIVATE KEY-----",
        f"Authorization: bearer {TOKEN[-20:]}",
    ],
    ids=["token", "header", "address", "database", "key", "bearer"],
)
def test_secrets_are_taken_out_by_their_look(text: str) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    log = structlog.get_logger("test")
    log.info(text, deep={"list": [text, text.encode()]}, object=ValueError(text))
    logging.getLogger("library").warning("said %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert json.loads(line)["at"]
        assert TOKEN[-20:] not in line


@pytest.mark.parametrize(
    "name", ["token", "Authorization", "client_secret", "db_password", "api_key", "cookie", "key"]
)
def test_secrets_are_taken_out_by_their_name(name: str) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger().info("x", **{name: "hunter2"}, nested={name: "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert logs.REDACTED in stream.getvalue()


def test_other_values_stay() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("here").info("request", path="/api/v1/x", status=200, ms=1.5, none=None)
    line = json.loads(stream.getvalue())
    assert line["path"] == "/api/v1/x" and line["status"] == 200 and line["none"] is None
    assert (line["level"], line["logger"], line["event"]) == ("info", "here", "request")


def test_the_file_is_private_and_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_FILE_BYTES", 2000)
    file = tmp_path / "logs" / "turnout.jsonl"
    logs.configure(file=file)
    for number in range(100):
        structlog.get_logger().info("line", number=number)
    logs.configure(stream=io.StringIO())
    files = sorted(file.parent.iterdir())
    assert len(files) == 5
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def _told(log: structlog.stdlib.BoundLogger, host: str) -> None:
    with logs.bound(host=host, step=1):
        await asyncio.sleep(0)
        await asyncio.to_thread(log.info, "in a thread")
        logging.getLogger("library").info("by logging")


@pytest.mark.anyio
async def test_every_line_says_what_it_is_about() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    log = structlog.get_logger("test")
    with logs.bound(deployment="dep-1", phase="staging", release="f" * 64):
        log.info("outside")
        await asyncio.gather(_told(log, "one"), _told(log, "two"))
        with logs.bound(phase="promotion", deployment=None):
            log.info("deeper")
        log.info("back")
    log.info("without")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    by_event = {line["event"]: line for line in lines}
    assert all(line["deployment"] == "dep-1" for line in lines if line["event"] != "without")
    assert {(line["event"], line["host"]) for line in lines if "host" in line} == {
        (event, host) for event in ("in a thread", "by logging") for host in ("one", "two")
    }
    assert [by_event[event]["phase"] for event in ("outside", "deeper", "back")] == [
        "staging",
        "promotion",
        "staging",
    ]
    assert "host" not in by_event["back"]
    assert "deployment" not in by_event["without"]
