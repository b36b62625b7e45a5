"""The key book: which idempotency keys were used for what, and what was answered."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from turnout.api.tables import idempotency_keys as keys
from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import Conflict, InvalidInput

KEPT_FOR = timedelta(hours=24)
_LARGEST_ANSWER = 1 << 20
_ANOTHER_SERVER_IS_DEAD_AFTER = timedelta(minutes=2)


@dataclass(frozen=True)
class Answer:
    """An answer that was given."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """The right to run a request under a key.

    Attributes:
        orphaned_since: Set if a run of the server that is gone had begun the request then, and
            nobody knows how far it came.
    """

    account: str
    key: str
    orphaned_since: datetime | None = None


class KeyBook:
    """The idempotency keys of one server.

    Args:
        database: Where they are kept, for 24 hours.
        alone: True: no other server works on this database, so an unfinished request of
            another run is an orphan at once; otherwise after two minutes.
    """

    def __init__(self, database: Database, *, alone: bool) -> None:
        self._database = database
        self._alone = alone
        self._boot = secrets.token_hex(16)

    def claim(self, account: str, key: str, request: str) -> Claim | Answer:
        """Return the right to run a request, or the answer that it had already.

        Args:
            account: Who asks; keys of different accounts do not meet.
            key: The client's key.
            request: The digest of everything that must be the same.

        Raises:
            InvalidInput: The key was used for another request.
            Conflict: A request with this key is under way.
        """
        now = clock.now()
        mine = sa.and_(keys.c.account == account, keys.c.key == key)
        with self._database.transaction() as connection:
            connection.execute(keys.delete().where(keys.c.created_at < now - KEPT_FOR))
            row = connection.execute(keys.select().where(mine)).one_or_none()
            if row is None:
                try:
                    connection.execute(
                        keys.insert().values(
                            account=account,
                            key=key,
                            request=request,
                            boot=self._boot,
                            created_at=now,
                        )
                    )
                except sa.exc.IntegrityError:
                    raise _under_way(key) from None
                return Claim(account, key)
            if row.request != request:
                raise InvalidInput(
                    "This idempotency key was used for another request",
                    subject=key,
                    next_step="Use a new key for every new request.",
                )
            if row.status is not None:
                return Answer(row.status, dict(row.headers or {}), bytes(row.answer or b""))
            if row.boot == self._boot or not (
                self._alone or now - row.created_at > _ANOTHER_SERVER_IS_DEAD_AFTER
            ):
                raise _under_way(key)
            taken = connection.execute(
                keys.update().where(mine, keys.c.boot == row.boot).values(boot=self._boot)
            )
            if not taken.rowcount:
                raise _under_way(key)
            return Claim(account, key, orphaned_since=row.created_at)

    def keep(self, claim: Claim, answer: Answer) -> None:
        """Keep what was answered; a refusal or a long answer is forgotten instead.

        Nothing happened at a refusal, so the request may be tried again with the same key; and
        only listings are long, which may be asked for twice.
        """
        if not 200 <= answer.status < 300 or len(answer.body) > _LARGEST_ANSWER:
            self.forget(claim)
            return
        with self._database.transaction() as connection:
            connection.execute(
                keys.update()
                .where(keys.c.account == claim.account, keys.c.key == claim.key)
                .values(status=answer.status, headers=answer.headers, answer=answer.body)
            )

    def forget(self, claim: Claim) -> None:
        """Give the key free again."""
        with self._database.transaction() as connection:
            connection.execute(
                keys.delete().where(keys.c.account == claim.account, keys.c.key == claim.key)
            )


def _under_way(key: str) -> Conflict:
    return Conflict(
        "A request with this idempotency key is under way",
        subject=key,
        next_step="Send it again in a moment to get its answer.",
        facts={"retry_after_s": 1},
    )
