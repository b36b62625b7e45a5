"""Saved logins: the address of a server to the token that it accepts, for this user only."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from turnout.base.errors import InvalidInput, Refused

DEFAULT_ADDRESS = "http://127.0.0.1:7700"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Login:
    """How a server is reached.

    Attributes:
        address: ``scheme://host:port`` without a slash at the end.
        token: What authenticates the user; None if none is known.
        fingerprint: SHA-256 of the server's certificate, 64 hexadecimal digits, if pinned.
    """

    address: str
    token: str | None = None
    fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"Login({self.address!r})"


def save(address: str, token: str, fingerprint: str | None = None) -> Path:
    """Remember *token* for *address*, and the certificate to pin; other logins stay.

    Returns:
        The file, which only its owner can read.

    Raises:
        InvalidInput: The address is not that of a server.
        Refused: The file is not safe; see :func:`lookup`.
    """
    entry = {"token": token}
    if fingerprint is not None:
        entry["fingerprint"] = check_fingerprint(fingerprint)
    with _locked() as path:
        logins = _read(path)
        logins[normal(address)] = entry
        _write(path, logins)
    return path


def forget(address: str) -> bool:
    """Drop the login of *address*; return whether there was one."""
    with _locked() as path:
        logins = _read(path)
        found = logins.pop(normal(address), None)
        if found is not None:
            _write(path, logins)
    return found is not None


def lookup(address: str | None = None) -> Login:
    """Return the login of *address*, without a token if none is saved.

    Args:
        address: A server; None means the only saved one, else ``http://127.0.0.1:7700``.

    Raises:
        InvalidInput: The address is not that of a server, or the file is broken.
        Refused: Others can read the file, or it belongs to somebody else.
    """
    logins = _read(file())
    if address is None:
        address = next(iter(logins)) if len(logins) == 1 else DEFAULT_ADDRESS
    address = normal(address)
    entry = logins.get(address, {})
    return Login(address, entry.get("token"), entry.get("fingerprint"))


def directory() -> Path:
    """Return the per-user configuration directory of Turnout; it may not exist yet."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return root / "turnout"


def file() -> Path:
    """Return the file of the saved logins; it may not exist yet."""
    return directory() / "credentials.json"


def normal(address: str) -> str:
    """Return *address* in the one form under which logins are saved.

    Raises:
        InvalidInput: It is no ``http://`` or ``https://`` address of a server.
    """
    shown = address[:200]
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        port = parts.port
    except ValueError as error:
        raise _no_address(shown, str(error)) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _no_address(shown, "it begins with http:// or https:// and a host")
    if parts.username or parts.password:
        raise _no_address("", "a name or password in it would end up in logs")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _no_address(shown, "nothing may follow the port")
    if any(letter.isspace() or not letter.isprintable() for letter in address):
        raise _no_address(ascii(shown), "it holds blanks or control characters")
    host = parts.hostname.lower()
    # One machine, one login: people type localhost where `turnout up` says 127.0.0.1.
    host = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"


def check_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as 64 lower-case hexadecimal digits.

    Raises:
        InvalidInput: It is none; colons and a leading ``sha256:`` are allowed.
    """
    digits = text.lower().removeprefix("sha256:").replace(":", "").strip()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise InvalidInput(
            "That is no SHA-256 fingerprint of a certificate",
            subject=text[:100],
            why="it has 64 hexadecimal digits",
            next_step="Copy the one that `turnout up` prints on the server.",
        )
    return digits


@contextmanager
def _locked() -> Iterator[Path]:
    """Hold the lock of the file, so that two servers that start at once lose no login."""
    home = directory()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(home / "credentials.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield file()
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as source:
            facts = os.fstat(source.fileno())
            _check_safe(path, facts)
            document = json.loads(source.read())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused(
            "The saved logins cannot be read", subject=str(path), why=error.strerror or ""
        ) from error
    except (ValueError, RecursionError):
        document = None
    logins = document.get("logins") if isinstance(document, dict) else None
    if not isinstance(logins, dict) or not all(_is_entry(entry) for entry in logins.values()):
        raise InvalidInput(
            "The saved logins are broken",
            subject=str(path),
            next_step="Remove the file and log in again; `turnout up` does so by itself.",
        )
    return logins


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        value is None or isinstance(value, str)
        for value in (entry.get("token"), entry.get("fingerprint"))
    )


def _check_safe(path: Path, facts: os.stat_result) -> None:
    if facts.st_uid != os.getuid():
        raise Refused(
            "The saved logins belong to another user",
            subject=str(path),
            next_step="Set XDG_CONFIG_HOME to a directory of yours.",
        )
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise Refused(
            "Others can read the saved logins",
            subject=str(path),
            why=f"its mode is {stat.S_IMODE(facts.st_mode):04o}",
            next_step=f"chmod 600 {path}; if others use this machine, make new tokens.",
        )


def _write(path: Path, logins: dict[str, dict[str, Any]]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
    try:
        with os.fdopen(handle, "w") as out:
            json.dump({"logins": logins}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _no_address(shown: str, why: str) -> InvalidInput:
    return InvalidInput(
        "That is no address of a Turnout server",
        subject=shown,
        why=why,
        next_step=f"Write it like {DEFAULT_ADDRESS}.",
    )
