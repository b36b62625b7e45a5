"""The dashboard's sessions: opened with a token or a one-time code, known by a cookie.

A code stands in the link that ``turnout up`` prints, so it lives in this process only, works
once and for ten minutes; a token never stands in an address.
"""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.security.tables import sessions, tokens
from turnout.security.tokens import LOCAL_ACCOUNT, Account, digest, is_alive

LIFETIME = timedelta(days=7)
"""After this a browser has to log in again, whatever it did."""

_CODE_LIFETIME_S = 600.0
_MAX_CODES = 32
"""Codes that wait to be used; the oldest gives way."""


class Sessions:
    """The sessions of one server's dashboard.

    Args:
        database: Where their digests are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._codes: dict[str, float] = {}
        self._guard = threading.Lock()

    def new_code(self) -> str:
        """Return a code that opens one session of the local administrator within ten minutes."""
        code = secrets.token_urlsafe(24)
        with self._guard:
            while len(self._codes) >= _MAX_CODES:
                self._codes.pop(next(iter(self._codes)))
            self._codes[digest(code)] = clock.monotonic() + _CODE_LIFETIME_S
        return code

    def open_by_code(self, code: str) -> str | None:
        """Exchange a code for a session's secret; None if it is used, too old or unknown."""
        with self._guard:
            # The lookup is by digest, so its timing says nothing about the code itself.
            deadline = self._codes.pop(digest(code), None)
        if deadline is None or clock.monotonic() > deadline:
            return None
        with self._database.reading() as connection:
            local = connection.execute(
                sa.select(tokens.c.id).where(tokens.c.is_local, tokens.c.revoked_at.is_(None))
            ).scalar()
        return None if local is None else self.open(Account(name=LOCAL_ACCOUNT, token=local))

    def open(self, account: Account) -> str:
        """Open a session for an account that showed its token; return the session's secret."""
        secret = secrets.token_urlsafe(32)
        now = clock.now()
        with self._database.transaction() as connection:
            connection.execute(sessions.delete().where(sessions.c.expires_at < now))
            connection.execute(
                sessions.insert().values(
                    digest=digest(secret),
                    token=account.token,
                    created_at=now,
                    expires_at=now + LIFETIME,
                )
            )
        return secret

    def verify(self, secret: str) -> Account | None:
        """Return whose session it is; None if it is unknown, over, or its token is dead."""
        if not 1 <= len(secret) <= 128:
            return None
        now = clock.now()
        query = (
            sa.select(tokens.c.id, tokens.c.account, tokens.c.expires_at, tokens.c.revoked_at)
            .join(sessions, sessions.c.token == tokens.c.id)
            .where(sessions.c.digest == digest(secret), sessions.c.expires_at > now)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not is_alive(row, now):
            return None
        return Account(name=row.account, token=row.id)

    def close(self, secret: str) -> None:
        """End a session, if there is one."""
        with self._database.transaction() as connection:
            connection.execute(sessions.delete().where(sessions.c.digest == digest(secret)))
