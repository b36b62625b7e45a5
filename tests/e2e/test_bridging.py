"""Open tabs never break: hashed assets outlive their release, and what is missing stays 404."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stand import projects
from tests.stand.projects import Project
from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


def assets(project: Project) -> dict[str, bytes]:
    root = project.code.parent
    return {f"/{p.relative_to(root)}": p.read_bytes() for p in root.glob("assets/*")}


def deploy(stand: Stand, project: Project) -> str:
    ended = stand.cli("deploy", project.path, "--to", "production")
    assert ended.code == 0, ended
    return str(ended.document["release"])


def missing(stand: Stand, wanted: dict[str, bytes]) -> list[str]:
    host = "docs.localhost"
    return [path for path, body in wanted.items() if stand.ask(path, host).body != body]


def test_assets_of_three_releases_before_stay_also_after_a_rollback(
    stand: Stand, tmp_path: Path
) -> None:
    project = projects.site(tmp_path, "docs", static_bridge_releases="3", rollout_keep_releases="5")
    seen: list[dict[str, bytes]] = []
    for _ in range(4):
        project.change()
        seen.append(assets(project))
        deploy(stand, project)
        everything = {path: body for one in seen for path, body in one.items()}
        assert missing(stand, everything) == []
    assert len(everything) > len(seen[-1])

    back = stand.cli("rollback", "production", "--project", "docs")
    assert back.code == 0, back
    assert missing(stand, everything) == [], "tabs of the withdrawn release are open too"

    for path in ("/assets/none.0a1b2c3d.js", "/assets/none.css", "/none.png"):
        answer = stand.ask(path, "docs.localhost")
        assert answer.status == 404, path
        assert b"Field notes" not in answer.body
    page = stand.ask("/guide/anything", "docs.localhost")
    assert page.status == 200
    assert b"Field notes" in page.body


def test_no_stale_304_across_releases(stand: Stand, tmp_path: Path) -> None:
    project = projects.site(tmp_path, "fresh")
    project.change()
    deploy(stand, project)
    tag = stand.ask("/", "fresh.localhost").headers["etag"]
    same = stand.ask("/", "fresh.localhost", headers={"If-None-Match": tag})
    assert same.status == 304
    mark = project.change()
    deploy(stand, project)
    answer = stand.ask("/", "fresh.localhost", headers={"If-None-Match": tag})
    assert answer.status == 200
    assert mark.encode() in answer.body
    stand.cli("rollback", "production", "--project", "fresh")
    newer = {"If-None-Match": answer.headers["etag"]}
    assert stand.ask("/", "fresh.localhost", headers=newer).status == 200
    assert stand.ask("/", "fresh.localhost", headers={"If-None-Match": tag}).status == 304
