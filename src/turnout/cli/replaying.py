"""The command ``replay``: what another policy would have said of recorded evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnout.cli import options, output

PolicyFile = Annotated[
    Path,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="An analysis: TOML as in turnout.toml (the table alone will do), or JSON.",
    ),
]


def replay(
    deployment: options.DeploymentId,
    policy: PolicyFile,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Say what another policy would have decided from what a deployment recorded."""
    from turnout.cli import policyfile

    session = options.session(json, server, token, fingerprint)
    identifier = options.check_id(deployment)
    with session.client() as client:

        def environment() -> str:
            return str(client.get(f"/deployments/{identifier}").get("environment", ""))

        spec = policyfile.read(policy, environment)
        document = client.post(f"/deployments/{identifier}/replay", spec)
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.evidence import replay_lines
    from turnout.wire.evidence import ReplayDocument

    for line in replay_lines(understood(ReplayDocument, document)):
        output.out(line)
