"""Ports that tests may listen on: below every ephemeral range, free now, given out once."""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 10300, 19900
"""Below the ports that agents give to instances (20000 and up)."""

_given: set[int] = set()
_random = random.Random(os.getpid())


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    for _ in range(2000):
        port = _random.randrange(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no port is free")
