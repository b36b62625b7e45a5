"""What ``turnout up`` is told: addresses, the data directory, the database, and its refusals."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from turnout.base.database import Database
from turnout.base.errors import Conflict, Exhausted, Failed, InvalidInput, Refused
from turnout.bootstrap.options import (
    explained,
    only_one,
    own_database,
    parse_address,
    reached_at,
    sites_address,
)

API = ("127.0.0.1", 7700)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7700", ("127.0.0.1", 7700)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text, "--listen") == expected


@pytest.mark.parametrize(
    "text", ["", "7700", ":7700", "a:", "a:-1", "a:65536", "a:1e3", "a:٣", "a:" + "9" * 5000]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        parse_address(text, "--listen")


def test_the_sites_take_an_address_of_their_own() -> None:
    assert sites_address("localhost:8080", API) == ("127.0.0.1", 8080)
    assert sites_address("[::1]:7700", API) == ("::1", 7700)
    for text in ("example.org:80", "127.0.0.1:0", "127.0.0.1:7700"):
        with pytest.raises(InvalidInput, match="sites"):
            sites_address(text, API)


def test_whoever_listens_everywhere_is_reached_on_loopback() -> None:
    assert [reached_at(host) for host in ("0.0.0.0", "::", "10.0.0.1")] == [  # noqa: S104
        "127.0.0.1",
        "::1",
        "10.0.0.1",
    ]


@pytest.mark.parametrize("name", ["plain", "a?b=c", "a#b", "a%20b", "a b", "ü'\"☃"])
def test_the_database_lies_in_the_data_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    Database(own_database(tmp_path / name)).migrate()
    assert (tmp_path / name / "turnout.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_one_server_a_data_directory(tmp_path: Path) -> None:
    with (
        only_one(tmp_path / "data"),
        pytest.raises(Conflict, match="Another server"),
        only_one(tmp_path / "data"),
    ):
        pass
    with only_one(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_cannot_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/turnout")):
        with pytest.raises(Failed, match="data directory"), only_one(place):
            pass


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_data_directory_that_others_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    with pytest.raises(Refused, match="Other users"), only_one(tmp_path / "data"):
        pass
    assert list((tmp_path / "data").iterdir()) == []


def test_what_the_system_refuses_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot use its data") as caught, explained(tmp_path):
        (tmp_path / "missing").read_bytes()
    assert caught.value.subject.endswith("missing")
    with pytest.raises(Exhausted, match="full"), explained(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "url", ["", "garbage", "mysql://u:sekret@h/x", "postgresql://u:sekret@h/x", "sqlite+x:///a"]
)
def test_a_wrong_database_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="database") as caught:
        Database(url)
    assert "sekret" not in str(caught.value.to_document())


def test_a_damaged_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "turnout.db").write_bytes(b"no database at all, " * 500)
    with pytest.raises(Failed, match="damaged"):
        Database(f"sqlite:///{tmp_path}/turnout.db").migrate()
