"""A process with the whole program imported, which forks servers and agents for crash tests.

A crash test restarts them hundreds of times, and most of a start is importing.  What is forked
runs the entry point of the executable with its own arguments and environment.  Run as
``python -m tests.stand.zygote BASE``; each connection to ``BASE/zygote.sock`` brings an order
as JSON with two file descriptors, standard output and standard error, and gets back the
process number.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRELOADED = (
    *("turnout.bootstrap", "turnout.api.app", "turnout.api.server", "turnout.web.pages"),
    *("turnout.coordinator.service", "turnout.coordinator.engine", "turnout.packages.store"),
    *("turnout.targets.local", "turnout.security.sessions", "turnout.base.database"),
    *("alembic.command", "alembic.runtime.migration", "sqlalchemy.dialects.sqlite"),
    *("turnout.agent.main", "turnout.agent.__main__", "tests.stand.mutants"),
)
_ORDER_BYTES = 1 << 20


def fork(
    base: Path,
    role: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    mutants: Sequence[str],
    outputs: tuple[int, int],
) -> int:
    """Have the zygote of *base* fork a ``server`` or an ``agent``; return its process number."""
    order = {
        "role": role,
        "argv": list(argv),
        "environment": dict(environment),
        "mutants": list(mutants),
    }
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(base / "zygote.sock"))
        socket.send_fds(peer, [json.dumps(order).encode()], outputs)
        peer.shutdown(socket.SHUT_WR)
        return int(peer.recv(100))


def main() -> None:
    """Fork on order until killed."""
    for name in PRELOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be missing in what is forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what is forked
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Path(sys.argv[1]) / "zygote.sock"))
        listener.listen(8)
        print("ready", flush=True)
        while True:
            peer, _ = listener.accept()
            with peer:
                _serve(peer, listener)


def _serve(peer: socket.socket, listener: socket.socket) -> None:
    text, outputs, _, _ = socket.recv_fds(peer, _ORDER_BYTES, 2)
    while piece := peer.recv(_ORDER_BYTES):
        text += piece
    pid = os.fork()
    if pid == 0:
        listener.close()
        peer.close()
        _become(json.loads(text), outputs)
    for handle in outputs:
        os.close(handle)
    peer.sendall(str(pid).encode())


def _become(order: dict[str, Any], outputs: Sequence[int]) -> None:
    code: object = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        Path("/proc/self/comm").write_text(f"turnout-{order['role']}")
        for number, handle in enumerate([os.open(os.devnull, os.O_RDONLY), *outputs]):
            os.dup2(handle, number)
            os.close(handle)
        os.environ.clear()
        os.environ.update(order["environment"])
        code = (_server if order["role"] == "server" else _agent)(order)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _server(order: dict[str, Any]) -> int:
    from tests.stand import mutants
    from turnout.bootstrap import main as turnout

    sys.argv = ["turnout", *order["argv"]]
    mutants.install(order["mutants"])
    turnout()
    return 0


def _agent(order: dict[str, Any]) -> int:
    from turnout.agent.__main__ import main as agent

    return agent(order["argv"])


if __name__ == "__main__":
    main()
