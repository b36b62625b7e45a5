"""Saved logins: found by address, private, and never lost."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from turnout.base.errors import InvalidInput, Refused
from turnout.cli import credentials

PRINT = "ab" * 32


def test_saved_and_found_by_address() -> None:
    credentials.save("http://127.0.0.1:7700", "one")
    credentials.save("https://turnout.example.org", "two", ":".join([PRINT[:2].upper()] * 32))
    assert credentials.lookup("http://localhost:7700/").token == "one"
    other = credentials.lookup("HTTPS://Turnout.Example.org:443")
    assert (other.token, other.fingerprint) == ("two", PRINT)
    assert credentials.lookup("http://127.0.0.1:7701").token is None


def test_without_an_address() -> None:
    assert credentials.lookup().address == "http://127.0.0.1:7700"
    assert credentials.lookup().token is None
    credentials.save("http://127.0.0.1:9", "only")
    assert credentials.lookup().token == "only"
    credentials.save("http://127.0.0.1:10", "second")
    assert credentials.lookup().address == "http://127.0.0.1:7700"
    assert credentials.forget("http://127.0.0.1:9") and not credentials.forget("http://a:1")
    assert credentials.lookup().token == "second"


def test_only_the_owner_can_read_it() -> None:
    path = credentials.save("http://127.0.0.1:7700", "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with pytest.raises(Refused, match="Others can read"):
        credentials.lookup()
    with pytest.raises(Refused):
        credentials.save("http://127.0.0.1:7700", "two")


def test_a_token_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(credentials.Login("http://a:1", "s3cret"))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"logins": 3}', '{"logins": {"a": 1}}', "[" * 100_000]
)
def test_a_broken_file_says_so(content: str) -> None:
    path = credentials.save("http://127.0.0.1:7700", "one")
    path.write_text(content)
    with pytest.raises(InvalidInput, match="broken"):
        credentials.lookup()


def test_many_at_once_lose_nothing() -> None:
    threads = [
        threading.Thread(target=credentials.save, args=(f"http://127.0.0.1:{port}", "t"))
        for port in range(1000, 1020)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(credentials.file().read_text())["logins"]) == 20
    assert {p.name for p in Path(credentials.directory()).iterdir()} == {
        "credentials.json",
        "credentials.lock",
    }


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ftp://a",
        "http://",
        "http://a:99999",
        "http://a:x",
        "http://user:pw@a",
        "http://a/path",
        "http://a?x=1",
        "http://a\nb",
        "http://[::1",
        "file:///etc/passwd",
    ],
)
def test_no_address(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        credentials.save(address, "t")
    assert "pw" not in str(caught.value)


def test_addresses_in_one_form() -> None:
    assert credentials.normal("LOCALHOST:80") == "http://127.0.0.1:80"
    assert credentials.normal("https://[::1]:7/") == "https://[::1]:7"
