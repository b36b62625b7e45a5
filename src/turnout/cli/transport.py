"""The connection to a server: TLS by certificate authority or by pin, never plain beyond here."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx2

from turnout.base.errors import Refused
from turnout.cli.credentials import Login

CONNECT_S = 5.0
ANSWER_S = 60.0
"""Seconds for one answer; a deployment is started at once, and a long upload is many answers."""


def open_http(login: Login) -> httpx2.Client:
    """Return an HTTP client for the server of *login*.

    Raises:
        Refused: The token would travel in the clear.
    """
    parts = urlsplit(login.address)
    local = is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not local:
        raise Refused(
            "Turnout speaks plain HTTP to this machine only",
            subject=login.address,
            why="the token and the release would travel in the clear",
            next_step="Use https://; a server's own certificate is pinned by --fingerprint.",
        )
    headers = {"accept": "application/json", "user-agent": "turnout-cli"}
    if login.token:
        headers["authorization"] = f"Bearer {login.token}"
    return httpx2.Client(
        base_url=f"{login.address}/api/v1",
        headers=headers,
        verify=_context(parts.scheme, login.fingerprint),
        timeout=httpx2.Timeout(ANSWER_S, connect=CONNECT_S),
        # A proxy of the environment is for the world outside, and would see the token.
        trust_env=not local,
    )


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine whatever a name server says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _context(scheme: str, fingerprint: str | None) -> ssl.SSLContext:
    if scheme == "http":
        # Never used; loading the system's certificates would cost 20 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if fingerprint is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The pin says more than a name and a signature do; it is checked before a byte is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = _pinned(fingerprint)
    return context


def _pinned(fingerprint: str) -> type[ssl.SSLSocket]:
    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, *args: Any, **options: Any) -> None:
            super().do_handshake(*args, **options)
            certificate = self.getpeercert(binary_form=True) or b""
            found = hashlib.sha256(certificate).hexdigest()
            if not hmac.compare_digest(found, fingerprint):
                raise ssl.SSLCertVerificationError(
                    f"its certificate has the fingerprint {found}, not the pinned {fingerprint}"
                )

    return PinnedSocket
