"""The commands ``doctor`` and ``version``: is everything well, here and at the server?"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import turnout
from turnout.base.errors import TurnoutError
from turnout.cli import credentials, options, output

if TYPE_CHECKING:
    from turnout.cli.client import Client

OLDEST_PYTHON = (3, 11)
_LITTLE_DISK = 512 << 20
"""Bytes free below which a deployment is likely to fail for lack of space."""

Finding = dict[str, Any]
_STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Check this machine, the server and every host; say what is wrong and how to mend it."""
    checks = [_python(), _disk(), _logins()]
    checks += _server_findings(json, server, token, fingerprint)
    ok = all(check["status"] != "error" for check in checks)
    if json:
        output.document({"ok": ok, "checks": checks})
    else:
        _print(checks)
    raise typer.Exit(0 if ok else 1)


def version(
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Print the version of this program, and of the server if one answers."""
    there: str | None = None
    try:
        with options.session(json, server, token, fingerprint).client() as client:
            client.first_contact = 0.0
            there = str(client.get("/server").get("version"))
    except TurnoutError:
        pass  # it is not needed to answer the question
    if json:
        output.document(
            {
                "version": turnout.__version__,
                "python": platform.python_version(),
                "server": there,
            }
        )
        return
    output.out(f"turnout {turnout.__version__} (Python {platform.python_version()})")
    if there is not None:
        output.out(f"server {there}")


def _server_findings(
    json: bool, server: str | None, token: str | None, fingerprint: str | None
) -> list[Finding]:
    try:
        with options.session(json, server, token, fingerprint).client() as client:
            return [_answers(client), *_asked(client)]
    except TurnoutError as error:
        return [_finding("server", "error", str(error), error.next_step)]


def _answers(client: Client) -> Finding:
    info = client.get("/server")
    detail = f"{client.login.address} answers, version {info.get('version')}"
    if info.get("version") != turnout.__version__:
        return _finding(
            "server",
            "warning",
            f"{detail}; this program is {turnout.__version__}",
            "Update the older of the two.",
        )
    return _finding("server", "ok", detail)


def _asked(client: Client) -> list[Finding]:
    from turnout.cli.client import understood
    from turnout.wire.api import Doctor

    answer = client.get("/doctor")
    return [check.model_dump(mode="json") for check in understood(Doctor, answer).checks]


def _python() -> Finding:
    here = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return _finding("python", "error", here, f"Install Python {needed} or newer.")
    return _finding("python", "ok", here)


def _disk() -> Finding:
    home = Path.home()
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        return _finding("disk", "error", f"{home}: {error.strerror}", "Make the home readable.")
    from turnout.cli.values import show_bytes

    detail = f"{show_bytes(free)} free at {home}"
    if free < _LITTLE_DISK:
        return _finding("disk", "warning", detail, "Make room; releases are kept on disk.")
    return _finding("disk", "ok", detail)


def _logins() -> Finding:
    path = credentials.file()
    try:
        facts = credentials.directory().stat()
    except FileNotFoundError:
        detail = f"{path} does not exist"
        return _finding("logins", "warning", detail, "`turnout up` saves the first login.")
    except OSError as error:
        return _finding("logins", "error", f"{path}: {error.strerror}", "Make it readable.")
    if stat.S_IMODE(facts.st_mode) & 0o022 or facts.st_uid != os.getuid():
        return _finding(
            "logins",
            "error",
            f"others may write to {path.parent}",
            f"chmod 700 {path.parent}, as its owner.",
        )
    try:
        credentials.lookup()
    except TurnoutError as error:
        return _finding("logins", "error", str(error), error.next_step)
    return _finding("logins", "ok", f"{path} is readable by its owner only")


def _finding(name: str, status: str, detail: str, next_step: str = "") -> Finding:
    return {"name": name, "status": status, "detail": detail, "next_step": next_step}


def _print(checks: list[Finding]) -> None:
    from turnout.cli.problems import visible

    width = max(len(str(check["name"])) for check in checks)
    for check in checks:
        line = visible(f"{check['status']:8} {check['name']:{width}}  {check['detail']}")
        output.out(line, style=_STYLES.get(str(check["status"]), ""))
        if check["next_step"] and check["status"] != "ok":
            output.out(visible(f"{'':8} {'':{width}}  next: {check['next_step']}"))
