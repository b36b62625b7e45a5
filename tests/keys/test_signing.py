"""Signed statements: only the right key, type and payload are believed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.base.errors import Failed, InvalidInput, Untrusted
from turnout.keys import signing

SIGNER = signing.load_signer(signing.new_signing_key())
OTHER = signing.load_signer(signing.new_signing_key())
PUBLIC = signing.public_key_of(SIGNER)
TYPE = "application/x"
ENVELOPE = signing.sign_statement(SIGNER, TYPE, b"payload")


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(ENVELOPE), **fields}).encode()


def test_a_signed_statement_is_believed() -> None:
    assert signing.verify_statement(ENVELOPE, PUBLIC, TYPE) == b"payload"


def test_it_is_plain_dsse() -> None:
    """Any other implementation can check it: the signature is over the published encoding."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    document = json.loads(ENVELOPE)
    signed = b"DSSEv1 13 application/x 7 payload"
    signature = base64.b64decode(document["signatures"][0]["sig"])
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(PUBLIC)).verify(signature, signed)


def hostile() -> dict[str, bytes]:
    document = json.loads(ENVELOPE)
    foreign = json.loads(signing.sign_statement(OTHER, TYPE, b"payload"))["signatures"][0]
    posing = {**foreign, "keyid": document["signatures"][0]["keyid"]}
    return {
        "another payload": changed(payload=base64.b64encode(b"other").decode()),
        "another type": changed(payloadType="application/y"),
        "no signature": changed(signatures=[]),
        "another key's signature": changed(signatures=[foreign]),
        "another key's signature under our key's name": changed(signatures=[posing]),
        "the same signature twice": changed(signatures=document["signatures"] * 2),
        "a signature that is a number": changed(signatures=[{"keyid": 1, "sig": 2}]),
        "a payload that is a number": changed(payload=7),
        "no payload": b"{}",
        "a list": b"[]",
        "no JSON": b"{",
        "nothing": b"",
        "nesting": b"[" * 50_000,
        "a huge one": b" " * (signing.MAX_ENVELOPE + 1),
        "not UTF-8": b'{"payload": "\xff"}',
    }


@pytest.mark.parametrize("attack", hostile())
def test_what_is_not_signed_is_refused(attack: str) -> None:
    with pytest.raises(Untrusted):
        signing.verify_statement(hostile()[attack], PUBLIC, TYPE)


def test_another_public_key_refuses_it() -> None:
    with pytest.raises(Untrusted, match="not signed by the server"):
        signing.verify_statement(ENVELOPE, signing.public_key_of(OTHER), TYPE)


def test_one_kind_of_statement_is_not_taken_for_another() -> None:
    with pytest.raises(Untrusted, match="another kind"):
        signing.verify_statement(ENVELOPE, PUBLIC, "application/y")


@pytest.mark.parametrize(
    "key",
    ["", "zz", PUBLIC[:-2], PUBLIC + "00", "\u0661" * 64],
    ids=["empty", "letters", "short", "long", "other digits"],
)
def test_a_public_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        signing.verify_statement(ENVELOPE, key, TYPE)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Untrusted):
        signing.verify_statement(data, PUBLIC, TYPE)


def test_a_key_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(Failed, match="cannot be used"):
        signing.load_signer(pem)
