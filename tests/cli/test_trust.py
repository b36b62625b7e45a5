"""Trust: which servers get the token, and over which connection."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fake_server import TOKEN, FakeServer, Running
from turnout.cli import credentials
from turnout.cli.transport import is_loopback

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Running, str]]:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=turnout"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    server = Running(FakeServer(), ssl_keyfile=str(key), ssl_certfile=str(certificate))
    yield server, shown.partition("=")[2].strip()
    server.stop()


def test_the_pinned_server_is_trusted(run: Run, tls: tuple[Running, str]) -> None:
    server, fingerprint = tls
    url = server.fake.url
    result = run("status", "--server", url, "--token", TOKEN, "--fingerprint", fingerprint)
    assert result.exit_code == 0, result.stderr
    credentials.save(url, TOKEN, fingerprint)
    assert run("status").exit_code == 0
    env = {"TURNOUT_URL": url, "TURNOUT_FINGERPRINT": "0" * 64}
    assert run("status", env=env).exit_code == 1


@pytest.mark.parametrize("words", [[], ["--fingerprint", "a" * 64]])
def test_another_server_gets_not_a_byte(
    run: Run, tls: tuple[Running, str], words: list[str]
) -> None:
    server, _ = tls
    url = server.fake.url
    result = run("status", "--server", url, "--token", TOKEN, "--json", *words)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["type"] == "urn:turnout:problem:untrusted"
    assert "fingerprint" in result.stderr
    assert "('" not in result.stderr
    assert not server.fake.seen


def test_no_plain_http_beyond_this_machine(run: Run) -> None:
    result = run("status", "--server", "http://192.0.2.1:7700", "--token", TOKEN, "--json")
    assert result.exit_code == 3
    assert "in the clear" in json.loads(result.stdout)["detail"]


def test_a_saved_token_goes_to_its_own_address_only(run: Run, fake: FakeServer) -> None:
    other = Running(FakeServer())
    try:
        assert run("status", "--server", other.fake.url).exit_code == 3
        assert "authorization" not in other.fake.seen[0].headers
    finally:
        other.stop()


def test_no_token_in_any_output(run: Run, fake: FakeServer, site: Path) -> None:
    fake.token = "another"
    for words in (["status"], ["doctor"], ["deploy", "--to", "production"]):
        result = run(*words, "--json")
        assert TOKEN not in result.output


def test_a_proxy_never_sees_the_token(run: Run, fake: FakeServer) -> None:
    env = {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    assert run("status", env=env).exit_code == 0


def test_loopback() -> None:
    assert is_loopback("127.8.9.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("localhost.example.org") and not is_loopback("10.0.0.1")
