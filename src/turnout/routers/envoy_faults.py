"""Why Envoy did not start or did not take over, in words that help: pure functions."""

from __future__ import annotations

from pathlib import Path

from turnout.base.errors import Conflict, Failed, TurnoutError


def no_start(listen: str, log: Path, said: str, exited: bool) -> TurnoutError:
    """Return the error for a process that did not come to serve.

    Args:
        listen: The address that it should serve.
        log: Its log.
        said: What it wrote there.
        exited: Whether it ended by itself.
    """
    if "Address already in use" in said or "address already in use" in said:
        return Conflict(
            "The router cannot start: its port is taken",
            subject=listen,
            why="another process listens there",
            next_step="End that process, or choose another address with --http HOST:PORT.",
        )
    if "Permission denied" in said and "bind" in said:
        return Failed(
            "The router cannot start: it may not use its port",
            subject=listen,
            why="ports below 1024 need a privilege",
            next_step="Use a port from 1024 on, or allow it with CAP_NET_BIND_SERVICE.",
        )
    return Failed(
        "The router cannot start",
        subject=listen,
        why=said.strip()[-1500:] or ("it ended" if exited else "it does not answer"),
        next_step=f"See {log}.",
    )


def no_handover(listen: str, why: str, next_step: str) -> Failed:
    """Return the error for a fresh process that did not take over."""
    return Failed(
        "The router was not restarted",
        subject=listen,
        why=why,
        next_step=next_step,
    )
