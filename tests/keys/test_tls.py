"""The server's own certificate: usable, kept, and made anew when it no longer fits."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from turnout.base.errors import Failed, InvalidInput
from turnout.keys import tls


def test_a_client_that_pins_it_connects(tmp_path: Path) -> None:
    certificate, key, fingerprint = tls.self_signed(tmp_path / "tls", ["127.0.0.1", "localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cadata=_public(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.sendall(b"ok")

        thread = threading.Thread(target=answer)
        thread.start()
        for_host = socket.create_connection(listener.getsockname())
        with client.wrap_socket(for_host, server_hostname="127.0.0.1") as connection:
            seen = connection.getpeercert(binary_form=True)
            assert connection.recv(2) == b"ok"
        thread.join()
    assert seen is not None
    assert hashlib.sha256(seen).hexdigest() == fingerprint


def test_it_is_kept_until_the_hosts_change(tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    first = tls.self_signed(directory, ["a.example"])
    assert tls.self_signed(directory, ["a.example"]) == first
    second = tls.self_signed(directory, ["a.example", "10.0.0.1", "::1"])
    assert second[2] != first[2]


def test_it_is_renewed_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "tls"
    monkeypatch.setattr(tls, "VALID_DAYS", tls.RENEW_DAYS + 1)
    first = tls.self_signed(directory, ["a.example"])
    monkeypatch.setattr(tls, "RENEW_DAYS", tls.RENEW_DAYS + 2)
    monkeypatch.setattr(tls, "VALID_DAYS", 825)
    assert tls.self_signed(directory, ["a.example"])[2] != first[2]


def test_a_damaged_pair_is_replaced_and_a_lax_one_refused(tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    path, _, fingerprint = tls.self_signed(directory, ["a.example"])
    path.write_bytes(b"damaged")
    assert tls.self_signed(directory, ["a.example"])[2] != fingerprint
    path.chmod(0o644)
    with pytest.raises(Failed, match="read by others"):
        tls.self_signed(directory, ["a.example"])


@pytest.mark.parametrize("hosts", [[], ["bad host\x00"], [""], ["a..b"], ["x" * 70 + ".example"]])
def test_a_host_that_cannot_stand_there_is_refused(tmp_path: Path, hosts: list[str]) -> None:
    with pytest.raises(InvalidInput):
        tls.self_signed(tmp_path / "tls", hosts)


def _public(path: Path) -> str:
    text = path.read_text()
    return text[: text.index("-----BEGIN PRIVATE")]
