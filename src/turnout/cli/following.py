"""Follows a deployment to its end and says how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from turnout.base.errors import TurnoutError
from turnout.cli import output
from turnout.cli.board import Board
from turnout.cli.client import Client, JsonObject, understood
from turnout.cli.group import INTERRUPTED
from turnout.cli.problems import text_of
from turnout.cli.rendering import outcome
from turnout.wire.api import DeploymentDetail

if TYPE_CHECKING:
    from turnout.cli.progress import Progress

_DETAIL = ("phases", "steps", "waiting_for", "split", "plan_digest", "no_return_at")
QUIET_ROUND_S = 0.3
"""Between two looks at a stream that ends at once without news."""

EXIT_CODES = {"succeeded": 0, "failed": 1, "rejected": 3, "rolled_back": 4, "aborted": 5}
"""By the status at the end; the command-line contract."""


def see_through(client: Client, started: JsonObject, progress: Progress, *, as_json: bool) -> int:
    """Follow the deployment that *started* describes, print its document, return the exit code.

    The document is printed however it goes: also when the server stays away or the user stops
    following, for the deployment goes on without us.
    """
    known = started
    code = INTERRUPTED
    trouble = ""
    try:
        try:
            known = _follow(client, started, progress)
            code = EXIT_CODES.get(str(known.get("status")), 1)
        finally:
            progress.close()
    except KeyboardInterrupt:
        trouble = (
            f"You stopped watching; the deployment {started['id']} goes on.\n"
            f"next:  `turnout abort {started['id']}` takes it back, "
            f"`turnout events {started['id']} -f` watches it again."
        )
    except TurnoutError as error:
        code = error.exit_code
        trouble = (
            f"{text_of(error)}\nThe deployment {started['id']} goes on at the server; "
            f"`turnout show {started['id']}` tells how it ended."
        )
    if trouble:
        output.err(trouble)
    show(known, as_json=as_json)
    return code


def show(document: JsonObject, *, as_json: bool) -> None:
    """Print a deployment document."""
    if as_json:
        output.document(_without_detail(document))
        return
    for line, style in outcome(understood(DeploymentDetail, document)):
        output.out(line, style=style)


def _follow(client: Client, started: JsonObject, progress: Progress) -> JsonObject:
    identifier = str(started["id"])
    client.on_wait = progress.away
    detail = client.get(f"/deployments/{identifier}")
    progress.follow(Board.of(understood(DeploymentDetail, detail)))
    stream = client.events(identifier)
    while detail.get("status") not in EXIT_CODES:
        # The stream ends with the deployment, or because the server stops: then go on.
        heard = stream.last
        for event in stream:
            progress.event(event)
        detail = client.get(f"/deployments/{identifier}")
        if stream.last == heard:
            time.sleep(QUIET_ROUND_S)
    return detail


def _without_detail(document: JsonObject) -> dict[str, Any]:
    """Return the deployment as ``deploy`` prints it: phases and steps are for ``show``."""
    return {key: value for key, value in document.items() if key not in _DETAIL}
