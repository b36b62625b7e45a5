"""``python -m turnout.agent``: the agent started by hand or by ``turnout up``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from turnout.agent.main import run
from turnout.base.errors import TurnoutError


def main(arguments: list[str] | None = None) -> int:
    """Run the agent and return the exit code."""
    parser = argparse.ArgumentParser(prog="turnout agent", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--host", required=True, help="this host's name")
    parser.add_argument("--http", type=_address, required=True, help="HOST:PORT of the router")
    parser.add_argument("--token-file", type=Path, help="holds a token that peers must show")
    given = parser.parse_args(arguments)
    try:
        run(given.data, given.socket, given.host, given.http, given.token_file)
    except TurnoutError as error:
        _tell(error)
        sys.stderr.write(f"{error}\n{error.next_step}\n" if error.next_step else f"{error}\n")
        return error.exit_code
    return 0


def _tell(error: TurnoutError) -> None:
    """Give the error as a document to a program that started us and reads our first line."""
    if not os.isatty(1):
        with contextlib.suppress(OSError):
            os.write(1, json.dumps(error.to_document()).encode() + b"\n")


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (
        colon and host and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    sys.exit(main())
