"""A certificate of the server's own, for an API beyond loopback; clients pin its fingerprint."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from turnout.base.errors import Failed, InvalidInput
from turnout.keys import privatefiles

VALID_DAYS = 825
"""The longest life that common clients accept of a certificate."""

RENEW_DAYS = 30

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


def self_signed(directory: Path, hosts: Sequence[str]) -> tuple[Path, Path, str]:
    """Return a certificate for *hosts* and its key, made on first use and renewed in time.

    Args:
        directory: Where both are kept; made with mode 0700.
        hosts: Host names and IP addresses that clients will use.

    Returns:
        The path of the certificate, that of the key, and the SHA-256 fingerprint of the
        certificate in hexadecimal.

    Raises:
        InvalidInput: No host is given, or one cannot stand in a certificate.
        Failed: The directory or the key could be read by others.
    """
    names = _alternative_names(hosts)
    privatefiles.private_directory(directory)
    pair = directory / "server.pem"
    content = privatefiles.read_private(pair)
    certificate = _still_good(content, names) if content else None
    if certificate is None:
        if content is not None:
            privatefiles.destroy_private(pair)
        privatefiles.create_private(pair, _new_pair(hosts[0], names))
        content = privatefiles.read_private(pair)
        certificate = _still_good(content, names) if content else None
    if certificate is None:
        raise Failed(
            "The server's certificate cannot be made",
            subject=str(pair),
            why="what was written there cannot be read again",
            next_step="Remove the file and start again, or give --tls-cert and --tls-key.",
        )
    fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    # Both halves stand in one file, so a crash never leaves a key beside another's certificate.
    return pair, pair, fingerprint


def _alternative_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    if not hosts:
        raise InvalidInput(
            "A certificate needs at least one host name",
            next_step="Name the hosts that clients use with --name.",
        )
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if len(host) > 253 or not _HOST.fullmatch(host):
                raise InvalidInput(
                    f"{host[:80]!r} cannot stand in a certificate",
                    why="it is neither an IP address nor a host name in ASCII",
                    next_step="Write a name with other letters in its xn-- form.",
                ) from None
            names.append(x509.DNSName(host))
    return names


def _still_good(content: bytes, names: list[x509.GeneralName]) -> x509.Certificate | None:
    try:
        certificate = x509.load_pem_x509_certificate(content)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    soon = datetime.now(UTC) + timedelta(days=RENEW_DAYS)
    return certificate if list(held) == names and certificate.not_valid_after_utc > soon else None


def _new_pair(host: str, names: list[x509.GeneralName]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A client's clock may be a little behind.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private
