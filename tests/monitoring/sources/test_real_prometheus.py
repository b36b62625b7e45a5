"""The source that asks Prometheus, beside a real one that scrapes a real exporter."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.monitoring.sources.servers import Web, serving
from tests.stand.ports import free_port
from turnout.monitoring.sources import Source, Target, make
from turnout.wire.rollout import MetricSpec

pytestmark = [pytest.mark.real, pytest.mark.anyio]
PROGRAM = shutil.which("prometheus")
TARGET = Target("shop", "production", "f" * 64, "a" * 16)
QUERY = 'sum(app_errors{release="{release}"})'


@dataclass
class Real:
    """A Prometheus, and the exporter that it scrapes."""

    process: asyncio.subprocess.Process
    exporter: Web
    url: str

    def say(self, *lines: str) -> None:
        """Export these lines from now on."""
        self.exporter.body = "".join(f"{line}\n" for line in lines).encode()

    def source(self, query: str = QUERY) -> Source:
        spec = MetricSpec(
            name="errors", source="prometheus", url=self.url, query=query, max=5, timeout=5
        )
        return make(spec, TARGET, runner=_never, reader=_never)

    async def verdict(self, source: Source, wanted: str) -> float | None:
        """Ask until the verdict is *wanted*: what is scraped comes a moment later."""
        async with asyncio.timeout(30):
            while True:
                found = await source.run("one")
                if found.word == wanted:
                    return found.value
                await asyncio.sleep(0.05)


async def _never(*_: object) -> None:
    raise AssertionError("a Prometheus metric asks nobody else")


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Real]:
    if PROGRAM is None:
        pytest.skip("Prometheus is not installed")
    async with serving() as exporter:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            "scrape_configs:\n- job_name: app\n  static_configs:\n"
            f"  - targets: ['{exporter.url.removeprefix('http://')}']\n"
        )
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _listens(port)
            yield Real(process, exporter, f"http://127.0.0.1:{port}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await asyncio.sleep(0.05)


async def test_what_it_scraped_is_judged(real: Real) -> None:
    source = real.source()
    real.say("unrelated 1")
    await real.verdict(source, "unknown")
    real.say(f'app_errors{{release="{TARGET.release}",pod="1"}} 2', 'app_errors{release="0"} 900')
    assert await real.verdict(source, "good") == 2
    real.say(f'app_errors{{release="{TARGET.release}",pod="1"}} 7')
    assert await real.verdict(source, "bad") == 7


async def test_a_query_that_it_refuses_is_no_verdict_on_the_release(real: Real) -> None:
    real.say('app_errors{pod="1"} 1', 'app_errors{pod="2"} 1')
    await real.verdict(real.source("sum(app_errors)"), "good")
    several = await real.source("app_errors").run("one")
    assert several.word == "unavailable"
    assert "2 results" in several.reason
    nonsense = await real.source("sum(").run("one")
    assert nonsense.word == "unavailable"


async def test_when_it_is_gone_nothing_is_known(real: Real) -> None:
    source = real.source("vector(1)")
    assert (await source.run("one")).word == "good"
    real.process.kill()
    await real.process.wait()
    assert (await source.run("one")).word == "unavailable"
