"""API tokens: made once, shown once, kept as digests.

A token is ``turnout_<id>_<secret>``.  The secret is 256 random bits, so a plain SHA-256 of it is
as good as a slow password hash: there is nothing to guess from a dictionary, and 2^256 cannot
be searched.  A fast hash also lets every request be checked for what it costs to read one row.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import InvalidInput, NotFound
from turnout.security.tables import tokens

LOCAL_ACCOUNT = "admin"
"""The account of whoever owns the data directory."""

_FORM = re.compile(r"turnout_([0-9a-z]{12})_([A-Za-z0-9_-]{43})")
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TOUCH_AFTER = timedelta(minutes=1)
"""``last used`` is written at most this often, so that reading stays reading."""


@dataclass(frozen=True)
class Account:
    """Whoever a request comes from."""

    name: str
    token: str
    """The identifier of the token it came with; not the token."""


@dataclass(frozen=True)
class TokenFacts:
    """What may be told of a token."""

    id: str
    account: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class Tokens:
    """The tokens of one server.

    Args:
        database: Where their digests are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def ensure_local(self) -> str | None:
        """Make the local administrator's token unless there is one.

        Returns:
            The new token, which nobody can ask for again; None if one was there already.
        """
        with self._database.transaction() as connection:
            alive = connection.execute(sa.select(tokens.c.id).where(_local_and_alive())).first()
            return None if alive else _insert(connection, LOCAL_ACCOUNT, "local", is_local=True)

    def rotate_local(self) -> str:
        """Replace the local administrator's token; the old one is dead at once.

        For the server that owns the data directory, when the file with the token was lost.
        """
        with self._database.transaction() as connection:
            connection.execute(
                tokens.update().where(_local_and_alive()).values(revoked_at=clock.now())
            )
            return _insert(connection, LOCAL_ACCOUNT, "local", is_local=True)

    def create(self, account: str, name: str, *, expires_at: datetime | None = None) -> str:
        """Make a token for *account* and return it, once.

        Args:
            account: Whose it is.
            name: What it is for, at most 80 characters.
            expires_at: From when on it is no longer taken; never if absent.

        Raises:
            InvalidInput: A name is empty or too long.
        """
        for text, what in ((account, "account"), (name, "name")):
            if not 1 <= len(text) <= 80 or not text.isprintable():
                raise InvalidInput(
                    f"The token's {what} cannot be used",
                    why="it must have 1 to 80 printable characters",
                    next_step=f"Choose a shorter {what}.",
                )
        with self._database.transaction() as connection:
            return _insert(connection, account, name, expires_at=expires_at)

    def revoke(self, token_id: str) -> None:
        """Make a token worthless from now on, its dashboard sessions included.

        Raises:
            NotFound: There is no such token.
        """
        with self._database.transaction() as connection:
            found = connection.execute(
                tokens.update()
                .where(tokens.c.id == token_id)
                .values(revoked_at=sa.func.coalesce(tokens.c.revoked_at, clock.now()))
            )
            if not found.rowcount:
                raise NotFound("There is no such token", subject=token_id)

    def list(self) -> list[TokenFacts]:
        """Return what may be told of every token, oldest first."""
        wanted = [tokens.c[name] for name in TokenFacts.__dataclass_fields__]
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*wanted).order_by(tokens.c.created_at))
            return [TokenFacts(**row._mapping) for row in rows]

    def verify(self, text: str) -> Account | None:
        """Return whose token *text* is; None if it is malformed, unknown, expired or revoked."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        with self._database.reading() as connection:
            row = connection.execute(
                tokens.select().where(tokens.c.id == form.group(1))
            ).one_or_none()
        # An unknown id is compared too, so that the time taken does not tell which ids exist.
        known = row.digest if row is not None else "0" * 64
        same = hmac.compare_digest(digest(text), known)
        if row is None or not same or not is_alive(row, clock.now()):
            return None
        self._touch(row)
        return Account(name=row.account, token=row.id)

    def _touch(self, row: sa.Row[Any]) -> None:
        now = clock.now()
        if row.last_used_at is None or now - row.last_used_at > _TOUCH_AFTER:
            with self._database.transaction() as connection:
                connection.execute(
                    tokens.update().where(tokens.c.id == row.id).values(last_used_at=now)
                )


def digest(text: str) -> str:
    """Return what is kept instead of a secret text: its SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_alive(row: Any, now: datetime) -> bool:
    """Return whether a token's row (expiry and revocation) is still good at *now*."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _insert(
    connection: sa.Connection,
    account: str,
    name: str,
    *,
    is_local: bool = False,
    expires_at: datetime | None = None,
) -> str:
    token_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    text = f"turnout_{token_id}_{secrets.token_urlsafe(32)}"
    connection.execute(
        tokens.insert().values(
            id=token_id,
            account=account,
            name=name,
            digest=digest(text),
            is_local=is_local,
            created_at=clock.now(),
            expires_at=expires_at,
        )
    )
    return text


def _local_and_alive() -> sa.ColumnElement[bool]:
    return sa.and_(tokens.c.is_local, tokens.c.revoked_at.is_(None))
