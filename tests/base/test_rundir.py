"""The run directory: short, ours alone, and the same whoever asks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.base.errors import Refused
from turnout.base.rundir import SOCKET_LIMIT, private_directory, run_directory


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rt-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)


def test_it_is_short_and_private(runtime: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200)
    found = run_directory(deep)
    assert found.parent == runtime / "turnout"
    assert len(found.name) == 10
    assert found.stat().st_mode & 0o777 == 0o700
    assert len(str(found / "i-0123456789ab.sock")) < SOCKET_LIMIT


def test_two_data_directories_have_two(runtime: Path, tmp_path: Path) -> None:
    assert run_directory(tmp_path / "a") != run_directory(tmp_path / "b")


def test_another_login_finds_the_same(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_directory(tmp_path / "data")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert run_directory(tmp_path / "data") == first
    shutil.rmtree(first)
    assert run_directory(tmp_path / "data") == first
    assert first.is_dir()


def test_a_copied_data_directory_gets_its_own(runtime: Path, tmp_path: Path) -> None:
    first = run_directory(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert run_directory(tmp_path / "copy") != first


def test_without_a_runtime_directory_it_is_under_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 200)))
    found = run_directory(tmp_path / "data")
    try:
        assert found.parent == Path(f"/tmp/turnout-{os.getuid()}")
    finally:
        found.rmdir()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Refused):
        private_directory(tmp_path / "link")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused):
        private_directory(tmp_path / "file")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's directory")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(Refused):
        private_directory(tmp_path / "theirs")


def test_an_open_directory_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    private_directory(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700
