"""The acts on a deployment: ``pause``, ``resume``, ``abort``, ``retry``, ``approve`` and so on."""

from __future__ import annotations

from turnout.cli import options, output


def pause(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Stop a deployment before its next step; what is done stays as it is."""
    _act("pause", deployment, reason, options.session(json, server, token, fingerprint))


def resume(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Go on with a paused deployment."""
    _act("resume", deployment, reason, options.session(json, server, token, fingerprint))


def abort(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """End a deployment and undo what it did."""
    _act("abort", deployment, reason, options.session(json, server, token, fingerprint))


def retry(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Try the failed step again now; of an ended deployment, start it anew."""
    _act("retry", deployment, reason, options.session(json, server, token, fingerprint))


def approve(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Say yes to a deployment that waits for an approval; it binds to the plan as it is."""
    _act("approve", deployment, reason, options.session(json, server, token, fingerprint))


def reject(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Say no to a deployment that waits for an approval; what it did is taken back."""
    _act("reject", deployment, reason, options.session(json, server, token, fingerprint))


def promote_now(
    deployment: options.DeploymentId,
    reason: options.Reason = "",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Wait no longer for measurements, and go on; approvals are still asked for."""
    _act("promote", deployment, reason, options.session(json, server, token, fingerprint))


def _act(verb: str, deployment: str, reason: str, session: options.Session) -> None:
    from turnout.cli.following import show
    from turnout.wire.api import ActRequest

    identifier = options.check_id(deployment)
    request = ActRequest(reason=options.check_text(reason, "reason"))
    with session.client() as client:
        document = client.post(f"/deployments/{identifier}/{verb}", request)
    if session.json or document.get("id") != identifier:
        show(document, as_json=session.json)  # a retry of what had ended is a new deployment
        return
    from turnout.cli.client import understood
    from turnout.cli.rendering import asked_lines
    from turnout.wire.api import DeploymentDocument

    for line in asked_lines(verb, understood(DeploymentDocument, document)):
        output.out(line)
