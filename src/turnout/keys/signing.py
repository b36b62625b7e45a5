"""Signed statements: DSSE envelopes with one Ed25519 signature, by ``securesystemslib``."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from turnout.base.errors import Failed, InvalidInput, Untrusted

MAX_ENVELOPE = 64 << 10
"""Bytes of the largest envelope that is looked at; ours are under 2 KiB."""

Signer = CryptoSigner

_BACKUP = "Bring it back from a backup; hosts trust the key that they know."
_AGAIN = "Deploy the release again; it is signed anew."


def new_signing_key() -> bytes:
    """Return a new Ed25519 private key as PKCS #8 in PEM, unencrypted."""
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def load_signer(pem: bytes, origin: str = "") -> Signer:
    """Return the signer of a private key that :func:`new_signing_key` made.

    Args:
        pem: The key.
        origin: The file it came from, for the error.

    Raises:
        Failed: It is not such a key.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise Failed(
            "The signing key cannot be read",
            subject=origin,
            why="it is not a PEM private key",
            next_step=_BACKUP,
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Failed(
            "The signing key cannot be used",
            subject=origin,
            why="it is not an Ed25519 key",
            next_step=_BACKUP,
        )
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key()))


def public_key_of(signer: Signer) -> str:
    """Return the public half as text: 64 hexadecimal digits, the form that hosts are given."""
    return str(signer.public_key.keyval["public"]).lower()


def sign_statement(signer: Signer, payload_type: str, payload: bytes) -> bytes:
    """Return *payload* in a signed DSSE envelope, as compact JSON.

    Args:
        payload_type: A media type that says what the payload is; it is signed too.
    """
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()


def verify_statement(envelope: bytes, public_key: str, payload_type: str) -> bytes:
    """Return the payload of a signed envelope, once its signature has been checked.

    Args:
        public_key: 64 hexadecimal digits, as :func:`public_key_of` returns them.
        payload_type: What the payload must be.

    Raises:
        Untrusted: It is no envelope, of another type, or not signed by that key.
    """
    key = _load_public(public_key)
    parsed = _parse(envelope)
    if parsed.payload_type != payload_type:
        raise Untrusted(
            "A signed statement is of another kind",
            why=f"{payload_type} was expected",
            next_step=_AGAIN,
        )
    try:
        parsed.verify([key], 1)
    except VerificationError as error:
        raise Untrusted(
            "A statement is not signed by the server's key",
            next_step="If the server has a new key, register this host with it again.",
        ) from error
    return bytes(parsed.payload)


def _load_public(public_key: str) -> SSlibKey:
    try:
        raw = bytes.fromhex(public_key)
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
    except ValueError as error:
        raise InvalidInput(
            "A public key cannot be read",
            subject=public_key[:80],
            why="it must be 64 hexadecimal digits",
            next_step="Register this host with its server again.",
        ) from error


def _parse(envelope: bytes) -> Envelope:
    if len(envelope) > MAX_ENVELOPE:
        raise Untrusted(
            "A signed statement is too long",
            why=f"{len(envelope)} bytes; {MAX_ENVELOPE} are allowed",
            next_step=_AGAIN,
        )
    try:
        document: Any = json.loads(envelope)
        return Envelope.from_dict(document)
    # Whatever is wrong with foreign JSON surfaces as one of many kinds in a library that
    # was written for trusted callers; all of them mean the same here.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Untrusted(
            "A signed statement cannot be read", why="it is no DSSE envelope", next_step=_AGAIN
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("securesystemslib"):
            raise Untrusted(
                "A signed statement cannot be read", why="it is no DSSE envelope", next_step=_AGAIN
            ) from error
        raise
