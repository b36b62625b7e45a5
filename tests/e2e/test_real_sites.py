"""Sites that others built come out of the router byte for byte as they went in."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import shutil
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest

from tests.e2e.conftest import SITES
from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SETTINGS = """\
project = "{name}"

[build]
output = "site"

[static]
spa = {spa}

[health]
path = "/{health}"
interval = "100ms"
healthy_after = 1

[rollout]
verify = "300ms"
"""


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest, stand: Stand, npm: Path) -> tuple[str, Path]:
    """Deploy one of the packages; return the project's name and the directory."""
    name = str(request.param)
    path = stand.base / "sites" / name
    shutil.copytree(npm / name, path / "site", symlinks=True)
    health = next(p for p in sorted((path / "site").rglob("*")) if p.suffix in (".js", ".html"))
    (path / "turnout.toml").write_text(
        SETTINGS.format(
            name=name, spa="false", health=quote(str(health.relative_to(path / "site")))
        )
    )
    ended = stand.cli("deploy", path, "--to", "production", timeout=240)
    assert ended.code == 0, ended
    return name, path / "site"


def files(root: Path) -> list[Path]:
    found = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    assert len(found) > 10
    return found


class Browser:
    """One kept connection that asks for many files."""

    def __init__(self, stand: Stand, project: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", stand.http_port, timeout=30)
        self._host = f"{project}.localhost"

    def get(self, path: Path, **headers: str) -> tuple[int, dict[str, str], bytes]:
        sent = {"Host": self._host, **{key.replace("_", "-"): v for key, v in headers.items()}}
        self._connection.request("GET", "/" + quote(str(path)), headers=sent)
        answer = self._connection.getresponse()
        body = answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body


def test_every_byte_is_served_as_it_is(stand: Stand, site: tuple[str, Path]) -> None:
    name, root = site
    browser = Browser(stand, name)
    wrong = []
    for path in files(root):
        status, headers, body = browser.get(path)
        if path.name == "index.html" and status in (301, 307, 308):
            continue  # the origin sends to the directory, which the next test asks for
        if status != 200 or body != (root / path).read_bytes() or "content-encoding" in headers:
            wrong.append((str(path), status))
    assert wrong == []


@pytest.mark.parametrize(
    ("encoding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)]
)
def test_every_byte_is_served_compressed(
    stand: Stand, site: tuple[str, Path], encoding: str, decode: object
) -> None:
    name, root = site
    browser = Browser(stand, name)
    wrong, compressed = [], 0
    for path in files(root):
        status, headers, body = browser.get(path, Accept_Encoding=encoding)
        if headers.get("content-encoding") == encoding:
            compressed += 1
            body = decode(body)  # type: ignore[operator]
        if status != 200 or body != (root / path).read_bytes():
            wrong.append((str(path), status, headers.get("content-encoding")))
    assert wrong == []
    assert compressed > 5, "text is served compressed"


def test_tags_and_ranges(stand: Stand, site: tuple[str, Path]) -> None:
    name, root = site
    browser = Browser(stand, name)
    tags: dict[str, str] = {}
    for path in [p for p in files(root) if (root / p).stat().st_size > 100][::7]:
        content = (root / path).read_bytes()
        status, headers, _ = browser.get(path)
        tag = headers["etag"]
        digest = hashlib.sha256(content).hexdigest()
        assert tags.setdefault(tag, digest) == digest, "equal tags mean equal bytes"
        assert "last-modified" not in headers
        assert browser.get(path, If_None_Match=tag)[0] == 304
        assert browser.get(path, If_None_Match='"other"')[0] == 200
        assert browser.get(path, If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")[0] == 200
        status, headers, body = browser.get(path, Range="bytes=10-49")
        assert (status, body) == (206, content[10:50])
        assert headers["content-range"] == f"bytes 10-49/{len(content)}"
        status, _, body = browser.get(path, Range="bytes=-20")
        assert (status, body) == (206, content[-20:])
        assert browser.get(path, Range=f"bytes={len(content)}-")[0] == 416


def test_what_is_missing_is_404(stand: Stand, site: tuple[str, Path]) -> None:
    name, _ = site
    for path in ("/none.js", "/assets/none.3f2a91bc.js", "/none", "/..%2f..%2fetc/passwd"):
        assert stand.ask(path, f"{name}.localhost").status in (400, 404), path


def test_the_same_directory_is_the_same_release_and_is_not_sent_again(
    stand: Stand, site: tuple[str, Path]
) -> None:
    _, root = site
    ended = stand.cli("deploy", root.parent, "--to", "production", timeout=240)
    assert ended.code == 0, ended
    assert ended.document["uploaded_bytes"] == 0
    listed = stand.cli("releases", "--project", site[0]).document["items"]
    assert len(listed) == 1
    assert listed[0]["files"] == len(files(root))
