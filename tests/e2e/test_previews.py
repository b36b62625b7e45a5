"""Who is led where: the default project, host names, previews, and headers nobody can forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stand import projects
from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def releases(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, str]]:
    """Deploy two releases of one project and one of another; return mark and release of each."""
    found = []
    directory: Path = tmp_path_factory.mktemp("previews")
    shop, other = projects.app(directory, "shop"), projects.app(directory, "other")
    for project in (shop, shop, other):
        mark = project.change()
        ended = stand.cli("deploy", project.path, "--to", "production")
        assert ended.code == 0, ended
        found.append((mark.encode(), ended.document["release"]))
    staged = stand.cli("deploy", shop.path, "--to", "staging")
    assert staged.code == 0, staged
    return found


def test_the_first_project_answers_on_the_bare_address(
    stand: Stand, releases: list[tuple[bytes, str]]
) -> None:
    assert releases[1][0] in stand.ask("/").body
    assert releases[1][0] in stand.ask("/", "127.0.0.1").body
    assert releases[2][0] in stand.ask("/", "other.localhost").body
    assert releases[1][0] in stand.ask("/", "staging.shop.localhost").body


def test_a_release_is_previewed_by_header_and_by_name(
    stand: Stand, releases: list[tuple[bytes, str]]
) -> None:
    (old, old_release), (new, new_release) = releases[0], releases[1]
    asked = {"X-Turnout-Release": old_release}
    assert old in stand.ask("/", "shop.localhost", headers=asked).body
    assert new in stand.ask("/", "shop.localhost").body
    listed = stand.cli("list", "--project", "shop").document["items"]
    by_release = {
        one["release"]: one["release_url"] for one in listed if one["environment"] == "production"
    }
    for mark, release in ((old, old_release), (new, new_release)):
        host = by_release[release].removeprefix("http://").removesuffix("/")
        answer = stand.ask("/", host)
        assert mark in answer.body, host
        assert answer.headers["x-turnout-release"] == release


def test_a_release_that_is_not_there_is_not_replaced_by_the_live_one(
    stand: Stand, releases: list[tuple[bytes, str]]
) -> None:
    for wrong in ("0" * 64, "nonsense", releases[2][1]):
        answer = stand.ask("/", "shop.localhost", headers={"X-Turnout-Release": wrong})
        assert answer.headers.get("x-turnout-release") != wrong
        assert releases[2][0] not in answer.body, "another project's release"


def test_nobody_forges_the_header_that_names_a_static_root(stand: Stand, tmp_path: Path) -> None:
    site = projects.site(tmp_path, "site")
    assert stand.cli("deploy", site.path, "--to", "production").code == 0
    clean = stand.ask("/", "site.localhost")
    for name in ("X-Turnout-Site", "X-Turnout-Root", "X-Turnout-Revision", "X-Turnout-Origin"):
        for value in ("../../keys", "shop/production/0000000000000000", "/etc"):
            answer = stand.ask("/", "site.localhost", headers={name: value})
            assert (answer.status, answer.body) == (clean.status, clean.body)


def test_an_unknown_host_is_not_led_to_a_project_by_mistake(
    stand: Stand, releases: list[tuple[bytes, str]]
) -> None:
    answer = stand.ask("/", "nobody.localhost")
    assert releases[2][0] not in answer.body
