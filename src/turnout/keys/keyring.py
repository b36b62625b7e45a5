"""The keyring: every key of a server, in one directory that only its owner can read.

    master.key               wraps the keys below it; 32 random bytes
    signing.key              signs placements; Ed25519, PKCS #8
    environments/P/E.key     wrapped by the master key; wraps the run keys of P/E
    stores/P.key             wrapped by the master key; seals what is stored of P

The wrapped copy of a run key lives in the package and the placement of that run and nowhere
else, so discarding those destroys it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from turnout.base.errors import Failed, InvalidInput, Untrusted
from turnout.base.ids import check_name
from turnout.keys import privatefiles, sealing, signing
from turnout.keys.mac import KEY_BYTES, derive

_WRAPPING = "run keys"


class Keyring:
    """The keys of one server; safe to use from several threads and processes."""

    def __init__(self, directory: Path, master: bytes, signer: signing.Signer) -> None:
        self._directory = directory
        self._master = master
        self._known: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.signer = signer

    @classmethod
    def open(cls, directory: Path) -> Keyring:
        """Open the keyring in *directory*, which is made at first use.

        Raises:
            Failed: Somebody else could read the keys, or they are damaged.
        """
        privatefiles.private_directory(directory)
        for name in ("environments", "stores"):
            privatefiles.private_directory(directory / name)
        _refuse_a_new_start(directory)
        master = _read_or_create(directory / "master.key", sealing.new_key)
        if len(master) != KEY_BYTES:
            raise Failed(
                "The master key is damaged",
                subject=str(directory / "master.key"),
                why=f"it has {len(master)} bytes instead of {KEY_BYTES}",
                next_step="Bring it back from a backup; nothing sealed can be read without it.",
            )
        pem = _read_or_create(directory / "signing.key", signing.new_signing_key)
        return cls(directory, master, signing.load_signer(pem, str(directory / "signing.key")))

    @property
    def public_key(self) -> str:
        """The signing key's public half, 64 hexadecimal digits."""
        return signing.public_key_of(self.signer)

    def environment_key(self, scope: str) -> bytes:
        """Return the key of an environment (32 bytes), made on first use.

        Args:
            scope: ``project/environment``.

        Raises:
            InvalidInput: *scope* is not of that form.
            Untrusted: The stored key was changed, or wrapped by another master key.
        """
        return self._wrapped_key(self._environment_path(scope), f"environment {scope}")

    def store_key(self, project: str) -> bytes:
        """Return the key that seals what the store holds of *project* (32 bytes)."""
        check_name(project, "a project")
        return self._wrapped_key(self._directory / "stores" / f"{project}.key", f"store {project}")

    def destroy_environment(self, scope: str) -> bool:
        """Destroy the key of an environment; no package of it can be opened again.

        Returns:
            Whether there was one.
        """
        path = self._environment_path(scope)
        with self._lock:
            self._known.pop(f"environment {scope}", None)
            return path.parent.is_dir() and privatefiles.destroy_private(path)

    def wrap(self, scope: str, key: bytes) -> bytes:
        """Return a run key wrapped by the key of an environment."""
        return wrap_run_key(self.environment_key(scope), scope, key)

    def unwrap(self, scope: str, wrapped: bytes) -> bytes:
        """Return the run key that :meth:`wrap` wrapped.

        Raises:
            Untrusted: It is not a run key of this environment.
        """
        return unwrap_run_key(self.environment_key(scope), scope, wrapped)

    def _environment_path(self, scope: str) -> Path:
        project, slash, environment = scope.partition("/")
        if not slash:
            raise InvalidInput(
                f"{scope[:90]!r} names no environment",
                why="it must be project/environment",
                next_step="Name both, like shop/production.",
            )
        check_name(project, "a project")
        check_name(environment, "an environment")
        return self._directory / "environments" / project / f"{environment}.key"

    def _wrapped_key(self, path: Path, context: str) -> bytes:
        with self._lock:
            key = self._known.get(context)
            if key is None:
                privatefiles.private_directory(path.parent)
                wrapped = _read_or_create(
                    path, lambda: sealing.wrap_key(self._master, sealing.new_key(), context)
                )
                key = self._known[context] = self._unwrapped(path, wrapped, context)
            return key

    def _unwrapped(self, path: Path, wrapped: bytes, context: str) -> bytes:
        try:
            return sealing.unwrap_key(self._master, wrapped, context)
        except Untrusted as error:
            raise Untrusted(
                f"The key of {context} cannot be opened",
                subject=str(path),
                why=error.why,
                next_step="Bring it and master.key back from the same backup.",
            ) from error


def wrap_run_key(environment_key: bytes, scope: str, key: bytes) -> bytes:
    """Return a run key wrapped by an environment's key."""
    return sealing.wrap_key(derive(environment_key, _WRAPPING), key, scope)


def unwrap_run_key(environment_key: bytes, scope: str, wrapped: bytes) -> bytes:
    """Return the run key that :func:`wrap_run_key` wrapped; a host calls this.

    Raises:
        Untrusted: It is not a run key of this environment.
    """
    return sealing.unwrap_key(derive(environment_key, _WRAPPING), wrapped, scope)


def _refuse_a_new_start(directory: Path) -> None:
    """Make no new master or signing key where older ones have left their work.

    A new master key could open nothing that is sealed, and hosts trust the signing key that
    they know; whoever lost one must learn of it before anything is written.
    """
    used = any(any((directory / name).iterdir()) for name in ("environments", "stores"))
    for name in ("master.key", "signing.key"):
        if used and not (directory / name).exists():
            raise Failed(
                "A key of this server is gone",
                subject=str(directory / name),
                why="keys that depend on it are still there",
                next_step="Bring it back from a backup, or start anew with another --data.",
            )


def _read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    content = privatefiles.read_private(path)
    if content is None:
        privatefiles.create_private(path, make())
        content = privatefiles.read_private(path)
    if content is None:
        raise Failed(
            "A key vanished while it was being made",
            subject=str(path),
            why="something removes files there",
            next_step="See what cleans up in the data directory, and start again.",
        )
    return content
