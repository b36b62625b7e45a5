"""The base of every message: frozen, strict about unknown keys, and canonical as JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Message(BaseModel):
    """A message that says nothing but what its model says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> bytes:
        """Return the message as JSON with sorted keys and no spaces, for digests."""
        value = self.model_dump(mode="json")
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    def digest(self) -> str:
        """Return the SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()


class Report(BaseModel):
    """A message that a newer peer may have enriched: unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Scope = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
    ),
]
ReleaseId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RevisionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
