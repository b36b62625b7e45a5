"""A release that lost files to a damaged disk is whole again when the same files are uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.test_uploads import UPLOADS, open_upload, send
from tests.fakes.house import FakeHouse
from turnout.base.errors import Failed
from turnout.packages.scan import Scan, scan


@pytest.fixture
def site(tmp_path: Path) -> Scan:
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "index.html").write_text("<h1>hello</h1>")
    (directory / "a.css").write_text("h1 { color: red }" * 50)
    return scan(directory)


def test_the_same_files_are_asked_for_again_and_make_it_whole(
    client: TestClient, house: FakeHouse, site: Scan, tmp_path: Path
) -> None:
    release = site.manifest.release
    open_upload(client, site)
    send(client, site)
    assert client.post(f"{UPLOADS}/{release}/commit").status_code == 200
    assert open_upload(client, site)["complete"] is True

    for path in tmp_path.rglob("*.seg"):
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Failed):
        house.store.seal("blog", release, "blog/production", 1)

    opened = open_upload(client, site)
    assert opened["complete"] is False
    assert set(opened["missing"]) == set(site.manifest.sizes)  # type: ignore[call-overload]
    # Before they came it is not whole, though it was committed once.
    assert client.post(f"{UPLOADS}/{release}/commit").status_code == 422
    send(client, site)
    for _ in range(2):
        assert client.post(f"{UPLOADS}/{release}/commit").status_code == 200
    assert open_upload(client, site)["complete"] is True
    house.store.seal("blog", release, "blog/production", 2)
