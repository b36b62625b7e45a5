"""Tokens are shown once, kept as digests, and worthless when revoked or expired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from turnout.base import clock
from turnout.base.database import Database, metadata
from turnout.base.errors import InvalidInput, NotFound
from turnout.security import tables
from turnout.security.sessions import Sessions
from turnout.security.tokens import Account, Tokens


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 't.db'}")
    metadata.create_all(made.engine)
    yield made
    made.close()


def test_the_local_token_is_made_once(database: Database) -> None:
    tokens = Tokens(database)
    text = tokens.ensure_local()
    assert text is not None and text.startswith("turnout_") and len(text) == 8 + 12 + 1 + 43
    assert tokens.ensure_local() is None
    assert Tokens(database).ensure_local() is None
    account = tokens.verify(text)
    assert account is not None and account.name == "admin"


def test_rotation_kills_the_old_one(database: Database) -> None:
    tokens = Tokens(database)
    old = tokens.ensure_local()
    new = tokens.rotate_local()
    assert old and tokens.verify(old) is None
    assert tokens.verify(new) is not None
    assert tokens.ensure_local() is None


def test_the_database_holds_no_token(database: Database, tmp_path: Path) -> None:
    secret = Tokens(database).rotate_local().rpartition("_")[2]
    database.close()
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes()


def test_expiry_and_revocation(database: Database) -> None:
    tokens = Tokens(database)
    short = tokens.create("ci", "pipeline", expires_at=clock.now() - timedelta(seconds=1))
    assert tokens.verify(short) is None
    good = tokens.create("ci", "pipeline", expires_at=clock.now() + timedelta(hours=1))
    account = tokens.verify(good)
    assert account is not None and account.name == "ci"
    tokens.revoke(account.token)
    assert tokens.verify(good) is None
    tokens.revoke(account.token)
    with pytest.raises(NotFound):
        tokens.revoke("nothing")


def test_a_wrong_secret_with_a_right_id(database: Database) -> None:
    tokens = Tokens(database)
    text = tokens.rotate_local()
    assert tokens.verify(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    assert tokens.verify(text + "A") is None
    assert tokens.verify(text + "\n") is None


@given(st.one_of(st.text(), st.text().map(lambda text: f"turnout_{text}")))
def test_any_other_text_is_nobodys(text: str) -> None:
    database = Database("sqlite://")
    assert Tokens(database).verify(text) is None


def test_last_use_is_noted_at_most_once_a_minute(database: Database) -> None:
    tokens = Tokens(database)
    text = tokens.rotate_local()
    tokens.verify(text)
    (first,) = [item.last_used_at for item in tokens.list()]
    assert first is not None
    tokens.verify(text)
    assert [item.last_used_at for item in tokens.list()] == [first]
    with database.transaction() as connection:
        connection.execute(tables.tokens.update().values(last_used_at=first - timedelta(minutes=2)))
    tokens.verify(text)
    (later,) = [item.last_used_at for item in tokens.list()]
    assert later is not None and later >= first


@pytest.mark.parametrize("name", ["", "x" * 81, "a\nb"])
def test_names_are_checked(database: Database, name: str) -> None:
    with pytest.raises(InvalidInput):
        Tokens(database).create("ci", name)


def _account(database: Database) -> Account:
    account = Tokens(database).verify(Tokens(database).rotate_local())
    assert account is not None
    return account


def test_a_code_opens_one_session(database: Database) -> None:
    sessions, account = Sessions(database), _account(database)
    code = sessions.new_code()
    secret = sessions.open_by_code(code)
    assert secret is not None and sessions.verify(secret) == account
    assert sessions.open_by_code(code) is None
    assert sessions.open_by_code("") is None


def test_a_code_dies_of_age_and_of_number(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _account(database)
    sessions = Sessions(database)
    first = sessions.new_code()
    for _ in range(32):
        last = sessions.new_code()
    assert sessions.open_by_code(first) is None
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 601)
    assert sessions.open_by_code(last) is None


def test_a_session_dies_with_its_token_its_time_and_its_end(database: Database) -> None:
    sessions, account = Sessions(database), _account(database)
    one, two = sessions.open(account), sessions.open(account)
    sessions.close(one)
    assert sessions.verify(one) is None and sessions.verify(two) == account
    with database.transaction() as connection:
        connection.execute(
            tables.sessions.update().values(expires_at=clock.now() - timedelta(seconds=1))
        )
    assert sessions.verify(two) is None
    three = sessions.open(account)
    with database.reading() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(tables.sessions))
        assert rows.scalar() == 1
    Tokens(database).revoke(account.token)
    assert sessions.verify(three) is None
