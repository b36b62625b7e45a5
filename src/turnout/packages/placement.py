"""The placement: the server's signed word that a release may run in one environment."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from turnout.base.errors import Untrusted
from turnout.base.ids import NAME, RELEASE
from turnout.keys import sealing, signing

PAYLOAD_TYPE = "application/vnd.turnout.placement.v1+json"

_MAC = re.compile(r"^[0-9a-f]{64}$")
_WRAPPED = re.compile(rf"^[0-9a-f]{{{2 * sealing.WRAPPED_BYTES}}}$")
_MAX_VERSION = 1 << 53
"""Whole numbers up to here survive every JSON reader."""


@dataclass(frozen=True)
class Placement:
    """What is signed, and nothing else.

    Attributes:
        project: The project.
        environment: Its environment.
        release: The release, by its manifest's digest.
        version: Grows with every placement in the scope, also with one that goes back.
        package_mac: HMAC-SHA256 of the sealed body, in hexadecimal.
        wrapped_key: The run key, wrapped by the environment's key, in hexadecimal.
    """

    project: str
    environment: str
    release: str
    version: int
    package_mac: str
    wrapped_key: str

    @property
    def scope(self) -> str:
        return f"{self.project}/{self.environment}"

    def sign(self, signer: signing.Signer) -> bytes:
        """Return the placement in a signed DSSE envelope."""
        payload = json.dumps(self.__dict__, sort_keys=True, separators=(",", ":")).encode()
        return signing.sign_statement(signer, PAYLOAD_TYPE, payload)


def verify(envelope: bytes, public_key: str) -> Placement:
    """Return the placement in a signed envelope.

    Args:
        public_key: The server's, as text.

    Raises:
        Untrusted: It is not signed by that key, or says something that no server writes.
    """
    payload = signing.verify_statement(envelope, public_key, PAYLOAD_TYPE)
    try:
        placement = Placement(**json.loads(payload))
        good = (
            NAME.fullmatch(placement.project)
            and NAME.fullmatch(placement.environment)
            and RELEASE.fullmatch(placement.release)
            and _MAC.fullmatch(placement.package_mac)
            and _WRAPPED.fullmatch(placement.wrapped_key)
            and type(placement.version) is int
            and 0 < placement.version < _MAX_VERSION
        )
    except (ValueError, TypeError, RecursionError):
        good = None
    if not good:
        raise Untrusted("A placement says something that this version does not understand")
    return placement
