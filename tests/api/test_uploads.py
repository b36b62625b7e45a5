"""An upload says what is missing, survives a restart, and enters a release once it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from turnout.api.bodies import MANIFEST_TYPE, SEGMENT_TYPE
from turnout.packages.building import build
from turnout.packages.scan import Scan, scan
from turnout.wire.api import UploadOpened

UPLOADS = "/api/v1/projects/blog/uploads"


@pytest.fixture
def site(tmp_path: Path) -> Scan:
    directory = tmp_path / "site"
    (directory / "css").mkdir(parents=True)
    (directory / "index.html").write_text("<h1>hello</h1>")
    (directory / "css" / "a.css").write_text("h1 { color: red }" * 50)
    return scan(directory)


def open_upload(client: TestClient, site: Scan) -> dict[str, object]:
    answer = client.post(
        UPLOADS, content=site.manifest.canonical, headers={"Content-Type": MANIFEST_TYPE}
    )
    assert answer.status_code == 200, answer.text
    document: dict[str, object] = answer.json()
    return document


def send(client: TestClient, site: Scan, method: str = "POST") -> None:
    release = site.manifest.release
    for segment in build(site, site.manifest.sizes):
        answer = client.request(
            method,
            f"{UPLOADS}/{release}/segments",
            content=segment.encode(),
            headers={"Content-Type": SEGMENT_TYPE},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["blobs"] == 2


def test_a_release_goes_up_once(client: TestClient, site: Scan) -> None:
    opened = open_upload(client, site)
    release = site.manifest.release
    assert opened["release"] == release and opened["complete"] is False
    assert set(opened["missing"]) == set(site.manifest.sizes)  # type: ignore[call-overload]
    send(client, site)
    assert open_upload(client, site)["missing"] == []
    answer = client.post(f"{UPLOADS}/{release}/commit", params={"message": "first"})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["files"], document["bytes"]) == (2, site.manifest.bytes)
    assert document["message"] == "first"
    # Everything again does no harm.
    assert open_upload(client, site)["complete"] is True
    assert client.post(f"{UPLOADS}/{release}/commit").json() == document
    page = client.get("/api/v1/projects/blog/releases").json()
    assert [item["release"] for item in page["items"]] == [release]


def test_an_upload_goes_on_after_a_restart(house: FakeHouse, site: Scan, tmp_path: Path) -> None:
    with house.client() as client:
        open_upload(client, site)
        send(client, site, "PUT")
    restarted = houses.attach(tmp_path, house.database)
    with restarted.client() as client:
        answer = client.post(f"{UPLOADS}/{site.manifest.release}/commit")
    assert answer.status_code == 200, answer.text


def test_a_lost_manifest_costs_one_more_request(client: TestClient, site: Scan) -> None:
    for path in ("commit", "segments"):
        answer = client.post(
            f"{UPLOADS}/{site.manifest.release}/{path}",
            content=b"x",
            headers={"Content-Type": SEGMENT_TYPE},
        )
        assert answer.status_code == 409
        assert "manifest again" in answer.json()["next_step"]


def test_an_incomplete_release_is_not_committed(client: TestClient, site: Scan) -> None:
    open_upload(client, site)
    answer = client.post(f"{UPLOADS}/{site.manifest.release}/commit")
    assert answer.status_code == 422
    assert answer.json()["facts"]["missing"] == 2
    assert client.get("/api/v1/projects/blog/releases").status_code == 404


@pytest.mark.parametrize("damage", ["short", "flipped", "noise", "empty"])
def test_a_damaged_segment_is_refused(client: TestClient, site: Scan, damage: str) -> None:
    open_upload(client, site)
    data = bytearray(next(iter(build(site, site.manifest.sizes))).encode())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    sent = {"short": data[:-3], "flipped": data, "noise": b"noise" * 99, "empty": b""}[damage]
    answer = client.post(
        f"{UPLOADS}/{site.manifest.release}/segments",
        content=bytes(sent),
        headers={"Content-Type": SEGMENT_TYPE},
    )
    assert answer.status_code == 422, answer.text
    assert set(open_upload(client, site)["missing"]) == set(site.manifest.sizes)  # type: ignore[call-overload]


@pytest.mark.parametrize("body", [b"", b"x", b"turnout-manifest-1\n", b"\0" * 1000])
def test_what_is_no_manifest_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post(UPLOADS, content=body, headers={"Content-Type": MANIFEST_TYPE})
    assert answer.status_code == 422
    assert "manifest" in answer.json()["detail"]


def test_old_open_manifests_go(house: FakeHouse, site: Scan, tmp_path: Path) -> None:
    import os

    with house.client() as client:
        open_upload(client, site)
    kept = list((tmp_path / "uploads").iterdir())
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600
    os.utime(kept[0], (1, 1))
    houses.attach(tmp_path, house.database)
    assert not list((tmp_path / "uploads").iterdir())


def test_a_large_file_whose_upload_was_cut_goes_on_where_it_stopped(
    client: TestClient, tmp_path: Path
) -> None:
    directory = tmp_path / "large"
    directory.mkdir()
    with (directory / "model.bin").open("wb") as file:
        for number in range(20):
            file.write(number.to_bytes(1, "big") * (1 << 20))
    large = scan(directory)
    opened = UploadOpened.model_validate(open_upload(client, large))
    segments = list(build(large, opened.missing, opened.held_parts))
    assert len(segments) > 1
    place = f"{UPLOADS}/{large.manifest.release}"
    headers = {"Content-Type": SEGMENT_TYPE}
    first = client.post(f"{place}/segments", content=segments[0].encode(), headers=headers)
    assert first.status_code == 200, first.text

    again = UploadOpened.model_validate(open_upload(client, large))
    rest = list(build(large, again.missing, again.held_parts))
    assert len(rest) == len(segments) - 1
    for segment in rest:
        answer = client.post(f"{place}/segments", content=segment.encode(), headers=headers)
        assert answer.status_code == 200, answer.text
    assert client.post(f"{place}/commit").status_code == 200
