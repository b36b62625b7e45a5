"""What is asked, and by which kinds of clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from load.answers import Answer


class Kind(StrEnum):
    """How a client behaves."""

    KEEP_ALIVE = "keep-alive"
    """Reuses connections, as browsers and proxies do."""
    NEW_CONNECTION = "new-connection"
    """Opens a connection for each request and closes it after the answer."""
    SLOW_READER = "slow-reader"
    """Takes the answer in small pieces with pauses."""
    SLOW_UPLOAD = "slow-upload"
    """Sends a body in small pieces with pauses."""
    STREAM = "stream"
    """Holds a stream of server-sent events open."""


QUICK = frozenset({Kind.KEEP_ALIVE, Kind.NEW_CONNECTION})
"""The kinds whose latency is that of the site and not of the client."""

DEFAULT_MIX: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.KEEP_ALIVE: 0.80,
        Kind.NEW_CONNECTION: 0.15,
        Kind.SLOW_READER: 0.02,
        Kind.SLOW_UPLOAD: 0.02,
        Kind.STREAM: 0.01,
    }
)
"""The share of each kind; a kind that a target cannot serve is left out for it."""


@dataclass(frozen=True)
class Target:
    """One site to put load on.

    Attributes:
        address: The IP address or name to connect to.
        port: The port to connect to.
        path: What quick clients and slow readers ask for.
        host: The Host header, without which the address and port are named.
        name: How the report calls it; by default the host.
        upload_path: Where a body may be posted; empty: no slow uploads here.
        stream_path: Where server-sent events come from; empty: no streams here.
        headers: Further request headers.
        statuses: The statuses that are no failure.
        check: Looks at a complete answer and returns what is wrong with it, or an empty text.
            It is not asked about streams and uploads.
    """

    address: str
    port: int
    path: str = "/"
    host: str = ""
    name: str = ""
    upload_path: str = ""
    stream_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: frozenset[int] = frozenset({200})
    check: Callable[[Answer], str] | None = None

    @property
    def authority(self) -> str:
        """The Host header."""
        return self.host or f"{self.address}:{self.port}"

    @property
    def label(self) -> str:
        """The name in the report."""
        return self.name or self.authority

    def serves(self, kind: Kind) -> bool:
        """Return whether a client of *kind* has anything to do here."""
        if kind is Kind.SLOW_UPLOAD:
            return bool(self.upload_path)
        if kind is Kind.STREAM:
            return bool(self.stream_path)
        return True
