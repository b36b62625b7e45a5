"""The failpoints of the agent, so that crash tests cover them all without knowing them.

``before`` an operation changes anything, ``inside`` when it is half done, ``after`` when it is
done and the answer was not yet sent.
"""

from __future__ import annotations

OPERATIONS = (
    *("stage", "site", "bridge", "start", "ready", "stop", "route", "unroute", "prune"),
    *("drain", "command", "restart", "accesslog"),
)

NAMES: tuple[str, ...] = tuple(
    f"agent.{operation}.{moment}"
    for operation in OPERATIONS
    for moment in ("before", "inside", "after")
)
