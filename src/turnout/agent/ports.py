"""Ports for instances: below the ephemeral range, free now, and promised to no other instance."""

from __future__ import annotations

import secrets
from collections.abc import Set

from turnout.agent.offspring import port_is_free
from turnout.base.errors import Exhausted

FIRST, LAST = 20000, 29999
"""Linux hands out 32768 and up by itself (net.ipv4.ip_local_port_range), macOS 49152 and up."""


def choose(taken: Set[int]) -> int:
    """Return a port that nothing listens on and that is not in *taken*.

    A random start keeps two agents on one machine from racing for the same ports.

    Raises:
        Exhausted: No port is left.
    """
    count = LAST - FIRST + 1
    start = secrets.randbelow(count)
    for step in range(count):
        port = FIRST + (start + step) % count
        if port not in taken and port_is_free(port):
            return port
    raise Exhausted(
        "No port is free for an instance",
        subject=f"{FIRST}-{LAST}",
        next_step="Stop instances or other programs that listen there.",
    )
