"""Directories that mean harm, or are not what they seem: refused with a reason, nothing stored."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


def _link_outside(site: Path) -> None:
    (site / "passwords").symlink_to("/etc/passwd")


def _link_upwards(site: Path) -> None:
    (site / "up").symlink_to("../../../..")


def _link_in_circles(site: Path) -> None:
    (site / "a").symlink_to("b")
    (site / "b").symlink_to("a")


def _pipe(site: Path) -> None:
    os.mkfifo(site / "pipe")


def _socket(site: Path) -> None:
    where = os.getcwd()
    os.chdir(site)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind("sock")
    finally:
        os.chdir(where)


def _name_that_is_no_text(site: Path) -> None:
    (Path(os.fsdecode(bytes(site) + b"/bad-\xff.txt"))).write_text("x")


def _name_with_a_newline(site: Path) -> None:
    (site / "a\nb.txt").write_text("x")


def _path_too_long(site: Path) -> None:
    here = os.getcwd()
    os.chdir(site)
    try:
        for _ in range(25):  # 5,000 bytes; Linux opens paths of 4,095
            os.mkdir("d" * 199)
            os.chdir("d" * 199)
        Path("x").write_text("x")
    finally:
        os.chdir(here)


def _broken_settings(site: Path) -> None:
    (site / "turnout.toml").write_text('project = "evil"\n\n[health]\npaht = "/"\n')


def _broken_toml(site: Path) -> None:
    (site / "turnout.toml").write_text('project = "evil\n')


@pytest.mark.parametrize(
    "harm",
    [
        _link_outside, _link_upwards, _link_in_circles, _pipe, _socket, _name_that_is_no_text,
        _name_with_a_newline, _path_too_long, _broken_settings, _broken_toml,
    ],
)  # fmt: skip
def test_a_hostile_directory_is_refused(
    stand: Stand, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    (tmp_path / "turnout.toml").write_text('project = "evil"\n')
    (tmp_path / "index.html").write_text("<h1>evil</h1>")
    harm(tmp_path)
    ended = stand.cli("deploy", tmp_path, "--to", "production")
    assert ended.code == 2, ended
    assert ended.document["detail"], ended
    assert ended.document["next_step"], ended
    assert not stand.query("select 1 from deployments where project = 'evil'")
    assert not (stand.data / "store" / "evil").exists() or not any(
        p for p in (stand.data / "store" / "evil").rglob("*") if p.is_file()
    )


def test_a_broken_setting_is_named_with_its_place(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    _broken_settings(tmp_path)
    ended = stand.run("deploy", tmp_path, "--to", "production")
    assert ended.code == 2
    assert "4" in ended.said
    assert "path" in ended.said, "the nearest known key"


def test_an_empty_directory_is_refused(stand: Stand, tmp_path: Path) -> None:
    ended = stand.cli("deploy", tmp_path, "--to", "production", "--project", "evil")
    assert ended.code == 2, ended


def test_a_link_that_stays_inside_is_kept(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "turnout.toml").write_text('project = "linked"\n')
    (tmp_path / "index.html").write_text("<h1>linked</h1>")
    (tmp_path / "other.html").symlink_to("index.html")
    ended = stand.cli("deploy", tmp_path, "--to", "production")
    assert ended.code == 0, ended
    assert stand.ask("/other.html", "linked.localhost").body == b"<h1>linked</h1>"
