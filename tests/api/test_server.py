"""The server binds with clear errors, and never serves in the clear beyond the machine."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from pathlib import Path

import httpx2
import pytest

from tests.fakes.house import FakeHouse
from turnout.api.server import Tls, bind, require_tls, serve
from turnout.base.errors import Conflict, InvalidInput, Refused


def test_a_taken_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict) as caught:
            bind("127.0.0.1", port)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "--listen" in caught.value.next_step


def test_a_port_is_free_again_at_once() -> None:
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    first.close()
    bind("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "1.2.3.4.5", "a" * 300])
def test_addresses_of_others_are_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        bind(host, 0)


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("localhost", False),
        ("::", True),
        ("192.0.2.1", True),
        ("deploy.example", True),
        ("", True),
    ],
)
def test_tls_is_needed_beyond_loopback(host: str, needed: bool) -> None:
    assert require_tls(host) is needed


def test_no_clear_text_beyond_loopback(house: FakeHouse) -> None:
    with pytest.raises(Refused):
        asyncio.run(serve(house.app, "::", 0, ready=lambda *_: None, stop=asyncio.Event()))


def test_a_certificate_that_is_none_is_named(house: FakeHouse, tmp_path: Path) -> None:
    broken = tmp_path / "cert.pem"
    broken.write_text("nonsense")
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(
            serve(
                house.app,
                "127.0.0.1",
                0,
                ready=lambda *_: None,
                stop=asyncio.Event(),
                tls=Tls(broken, broken),
            )
        )
    assert str(broken) in str(caught.value)


def test_tls(house: FakeHouse, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key),
            *("-out", certificate, "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    ports: list[int] = []
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))

        def note(_host: str, port: int) -> None:
            ports.append(port)
            ready.set()

        await serve(house.app, "127.0.0.1", 0, ready=note, stop=stop, tls=Tls(certificate, key))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(10)
        import ssl

        context = ssl.create_default_context(cafile=str(certificate))
        answer = httpx2.get(f"https://127.0.0.1:{ports[0]}/api/v1/health", verify=context)
        assert answer.status_code == 200
        page = httpx2.get(f"https://127.0.0.1:{ports[0]}/login", verify=context)
        assert page.status_code == 200
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
    assert not thread.is_alive()
