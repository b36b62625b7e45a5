"""The keyring: made once, private, and wrapped keys open only where they belong."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from turnout.base.errors import Exhausted, Failed, InvalidInput, Untrusted
from turnout.keys.keyring import Keyring, unwrap_run_key, wrap_run_key


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_it_is_made_at_first_use_and_the_same_afterwards(directory: Path) -> None:
    first, second = Keyring.open(directory), Keyring.open(directory)
    assert first.public_key == second.public_key
    assert len(first.public_key) == 64
    for make in (Keyring.environment_key,):
        assert make(first, "a/b") == make(second, "a/b") != make(first, "a/c")
    assert first.store_key("a") == second.store_key("a") != first.store_key("b")
    assert len(first.environment_key("a/b")) == 32


def test_everything_is_for_the_owner_alone(directory: Path) -> None:
    before = os.umask(0)
    try:
        keyring = Keyring.open(directory)
        keyring.environment_key("a/b")
        keyring.store_key("a")
    finally:
        os.umask(before)
    for path in [directory, *directory.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["master.key", "signing.key", "environments/a/b.key"])
def test_a_file_that_others_can_read_is_refused(directory: Path, name: str) -> None:
    Keyring.open(directory).environment_key("a/b")
    (directory / name).chmod(0o640)
    with pytest.raises(Failed, match="read by others") as caught:
        Keyring.open(directory).environment_key("a/b")
    assert "chmod 600" in caught.value.next_step


def test_a_directory_that_others_can_enter_is_refused(directory: Path) -> None:
    Keyring.open(directory)
    directory.chmod(0o755)
    with pytest.raises(Failed, match="read by others"):
        Keyring.open(directory)


def test_a_link_in_place_of_a_key_is_refused(directory: Path, tmp_path: Path) -> None:
    Keyring.open(directory)
    (directory / "master.key").rename(tmp_path / "moved")
    (directory / "master.key").symlink_to(tmp_path / "moved")
    with pytest.raises(Failed, match="cannot be read"):
        Keyring.open(directory)


def test_a_damaged_master_key_is_named(directory: Path) -> None:
    Keyring.open(directory)
    (directory / "master.key").write_bytes(b"short")
    with pytest.raises(Failed, match="master key is damaged"):
        Keyring.open(directory)


def test_a_damaged_signing_key_is_named(directory: Path) -> None:
    Keyring.open(directory)
    (directory / "signing.key").write_bytes(b"-----BEGIN nothing")
    with pytest.raises(Failed, match="signing key"):
        Keyring.open(directory)


@pytest.mark.parametrize("name", ["master.key", "signing.key"])
def test_a_lost_key_is_not_made_anew_where_others_depend_on_it(directory: Path, name: str) -> None:
    Keyring.open(directory).environment_key("a/b")
    (directory / name).unlink()
    with pytest.raises(Failed, match=f"gone.*{name}"):
        Keyring.open(directory)
    assert not (directory / name).exists()


@pytest.mark.parametrize(
    "damage", ["short master", "signing", "link", "environment", "place", "entry", "lax"]
)
def test_every_trouble_names_its_file_and_a_way_out(directory: Path, damage: str) -> None:
    Keyring.open(directory).environment_key("a/b")
    at = directory / {"short master": "master.key", "signing": "signing.key"}.get(damage, "")
    if damage in ("short master", "signing"):
        at.write_bytes(b"x")
    elif damage == "link":
        at = directory / "master.key"
        at.rename(directory / "elsewhere")
        at.symlink_to("elsewhere")
    elif damage == "environment":
        at = directory / "environments" / "a" / "b.key"
        at.write_bytes(b"x")
    elif damage == "place":
        at = directory / "environments"
        shutil.rmtree(at)
        at.touch()
    elif damage == "entry":
        at = directory / "environments" / "a" / "b.key"
        at.unlink()
        at.mkdir()
    else:
        at = directory / "master.key"
        at.chmod(0o644)
    with pytest.raises(Failed) as caught:
        Keyring.open(directory).environment_key("a/b")
    error = caught.value
    assert error.subject == str(at)
    assert error.why and error.next_step


def test_a_key_that_cannot_be_written_is_explained(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ring = Keyring.open(directory)
    with monkeypatch.context() as patched, pytest.raises(Exhausted) as caught:
        patched.setattr(os, "fsync", full)
        ring.environment_key("a/b")
    assert caught.value.subject.endswith("b.key") and caught.value.next_step
    assert list((directory / "environments" / "a").iterdir()) == [], "nothing half-written stays"
    assert ring.environment_key("a/b")


def test_another_master_key_opens_nothing(directory: Path) -> None:
    Keyring.open(directory).environment_key("a/b")
    (directory / "master.key").write_bytes(bytes(32))
    with pytest.raises(Untrusted):
        Keyring.open(directory).environment_key("a/b")


def test_one_environments_key_file_is_no_good_for_another(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.environment_key("a/b")
    (directory / "environments/a/b.key").rename(directory / "environments/a/c.key")
    with pytest.raises(Untrusted):
        Keyring.open(directory).environment_key("a/c")


def test_run_keys_open_in_their_environment_only(directory: Path) -> None:
    keyring = Keyring.open(directory)
    wrapped = keyring.wrap("a/b", b"k" * 32)
    assert keyring.unwrap("a/b", wrapped) == b"k" * 32
    assert unwrap_run_key(keyring.environment_key("a/b"), "a/b", wrapped) == b"k" * 32
    for scope, key in (
        ("a/c", keyring.environment_key("a/c")),
        ("a/c", keyring.environment_key("a/b")),
    ):
        with pytest.raises(Untrusted):
            unwrap_run_key(key, scope, wrapped)
    for hostile in (b"", wrapped[:-1], wrapped + b"x", bytes(len(wrapped))):
        with pytest.raises(Untrusted):
            keyring.unwrap("a/b", hostile)
    assert wrap_run_key(keyring.environment_key("a/b"), "a/b", b"k" * 32) != wrapped


def test_a_destroyed_environment_cannot_be_opened_again(directory: Path) -> None:
    keyring = Keyring.open(directory)
    wrapped = keyring.wrap("a/b", b"k" * 32)
    assert keyring.destroy_environment("a/b")
    assert not keyring.destroy_environment("a/b")
    with pytest.raises(Untrusted):
        keyring.unwrap("a/b", wrapped)


@pytest.mark.parametrize("scope", ["", "a", "a/", "/b", "a/b/c", "../x/y", "a/..", "A/b"])
def test_a_scope_that_is_none_is_refused(directory: Path, scope: str) -> None:
    keyring = Keyring.open(directory)
    with pytest.raises(InvalidInput):
        keyring.environment_key(scope)
    with pytest.raises(InvalidInput):
        keyring.store_key("../x")


def test_many_first_uses_at_once_agree(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: Keyring.open(directory), range(8)))
        keys = set(pool.map(lambda ring: ring.environment_key("a/b"), rings))
    assert len({ring.public_key for ring in rings}) == len(keys) == 1
    assert not list(directory.rglob("*.tmp"))


def test_no_key_shows_in_a_description(directory: Path) -> None:
    keyring = Keyring.open(directory)
    key = keyring.environment_key("a/b")
    for text in (repr(keyring), str(keyring), repr(keyring.signer)):
        assert key.hex() not in text and str(key) not in text
