"""Real Caddy: what the static origin serves, what it hides, and that it outlives the agent."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import brotli
import pytest

from tests.routers.upstream import Answer, ask_once, free_port
from turnout.agent.origin import StaticOrigin
from turnout.base.errors import Failed
from turnout.packages.assets import ENCODINGS, ETAG_SUFFIX, VARIANT_SUFFIX, etag
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Backend, Site
from turnout.routers.processes import Detached

pytestmark = [pytest.mark.anyio, pytest.mark.real]

ONE, TWO = "1" * 16, "2" * 16
SCRIPT = b"console.log(1);\n" * 200
# One moment for every file, as hard links of several releases have it.
MOMENT = 1_700_000_000


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="to-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Host:
    """An origin and the trees it serves."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.origin = self.restarted()

    def restarted(self) -> StaticOrigin:
        return StaticOrigin(self.place / "origin", self.place / "run", self.place / "sites")

    def write(self, revision: str, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = self.place / "sites" / "shop" / "live" / revision / name
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(content).hexdigest()
            self._put(path, content, etag(digest))
            if name.endswith((".js", ".html")):
                packed = {"br": brotli.compress(content), "gzip": gzip.compress(content)}
                for encoding, suffix in ENCODINGS.items():
                    variant = path.with_name(path.name + suffix)
                    self._put(variant, packed[encoding], etag(digest, encoding), VARIANT_SUFFIX)

    def _put(self, path: Path, content: bytes, tag: str, suffix: str = ETAG_SUFFIX) -> None:
        sidecar = path.with_name(path.name + suffix)
        sidecar.write_text(tag)
        path.write_bytes(content)
        for file in (path, sidecar):
            os.utime(file, (MOMENT, MOMENT))

    async def get(
        self, path: str, revision: str = ONE, *, method: str = "GET", **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"x-turnout-site": f"shop/live/{revision}", **named}
        return await ask_once(self.place / "run/origin.sock", "shop.test", path, sent, method)

    def pid(self) -> int:
        holder = Detached("origin", self.place / "run/origin.lock").holder()
        assert holder is not None
        return holder.pid


@pytest.fixture
async def host(place: Path) -> AsyncIterator[Host]:
    host = Host(place)
    host.write(
        ONE,
        {
            "index.html": b"<h1>start</h1>",
            "docs/index.html": b"<h1>docs</h1>",
            "app.js": SCRIPT,
            "assets/index-B3xK9a_2.js": SCRIPT,
            "assets/logo.svg": b"<svg/>",
            "[slug].js": b"glob",
            "empty/readme.txt": b"x",
            ".well-known/security.txt": b"Contact: us",
            ".well-known/.secret": b"no",
            ".env": b"SECRET=1",
            ".git/config": b"no",
            "plain": b"no ending",
        },
    )
    host.write(
        ".bridge",
        {
            "assets/index-AAbb1cc2.js": b"earlier",
            "assets/index-Qb4xZ9cT.js": b"earlier",
            "assets/plain.js": b"never",
        },
    )
    await host.origin.start()
    yield host
    await host.origin.stop()


async def test_each_encoding_has_its_own_tag_and_validates_by_it(host: Host) -> None:
    tags = {}
    for accepted, expected in {"": "", "br": "br", "gzip": "gzip", "gzip, br;q=0.9": None}.items():
        answer = await host.get("/app.js", accept_encoding=accepted)
        assert answer.status == 200
        assert "Accept-Encoding" in answer.headers["vary"]
        assert "last-modified" not in answer.headers
        encoding = answer.headers.get("content-encoding", "")
        if expected is not None:
            assert encoding == expected
        body = {"": bytes, "br": brotli.decompress, "gzip": gzip.decompress}[encoding](answer.body)
        assert body == SCRIPT
        tags[encoding] = answer.headers["etag"]
        again = await host.get(
            "/app.js", accept_encoding=accepted, if_none_match=answer.headers["etag"]
        )
        assert again.status == 304
        assert again.headers["etag"] == answer.headers["etag"]
        assert again.headers["cache-control"] == answer.headers["cache-control"]
    assert len(set(tags.values())) == 3
    other = await host.get("/app.js", accept_encoding="br", if_none_match=tags["gzip"])
    assert other.status == 200


async def test_no_stale_304_across_releases_of_equal_time_and_size(host: Host) -> None:
    host.write(TWO, {"index.html": b"<h1>START</h1>", "app.js": SCRIPT.upper()})
    for accepted in ("", "br", "gzip"):
        before = await host.get("/", accept_encoding=accepted)
        tag = before.headers["etag"]
        after = await host.get("/", TWO, accept_encoding=accepted, if_none_match=tag)
        assert after.status == 200
        assert after.headers["etag"] != tag
        by_date = await host.get(
            "/", TWO, accept_encoding=accepted, if_modified_since="Fri, 01 Jan 2100 00:00:00 GMT"
        )
        assert by_date.status == 200


async def test_ranges_go_by_tags_and_never_by_dates(host: Host) -> None:
    tag = (await host.get("/app.js")).headers["etag"]
    part = await host.get("/app.js", range="bytes=0-6")
    assert (part.status, part.body) == (206, b"console")
    assert (await host.get("/app.js", range="bytes=0-6", if_range=tag)).status == 206
    assert (await host.get("/app.js", range="bytes=0-6", if_range='"other"')).body == SCRIPT
    dated = await host.get("/app.js", range="bytes=0-6", if_range="Tue, 14 Nov 2023 22:13:20 GMT")
    assert (dated.status, dated.body) == (200, SCRIPT)
    assert (await host.get("/app.js", range="bytes=99999-")).status == 416


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/docs/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        (
            "/assets/index-B3xK9a_2.js",
            "text/javascript; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        (
            "/assets/index-Qb4xZ9cT.js",
            "text/javascript; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        (
            "/assets/index-AAbb1cc2.js",
            "text/javascript; charset=utf-8",
            "public, max-age=0, must-revalidate",
        ),
        ("/app.js", "text/javascript; charset=utf-8", "public, max-age=0, must-revalidate"),
        ("/%5Bslug%5D.js", "text/javascript; charset=utf-8", "public, max-age=0, must-revalidate"),
        ("/assets/logo.svg", "image/svg+xml", "public, max-age=0, must-revalidate"),
        ("/plain", None, "public, max-age=0, must-revalidate"),
        (
            "/.well-known/security.txt",
            "text/plain; charset=utf-8",
            "public, max-age=0, must-revalidate",
        ),
        ("/nothing.js", "text/plain; charset=utf-8", "no-store"),
    ],
)
async def test_types_and_caching(host: Host, path: str, kind: str | None, cache: str) -> None:
    answer = await host.get(path)
    assert answer.headers.get("content-type") == kind
    assert answer.headers["cache-control"] == cache
    head = await host.get(path, method="HEAD")
    assert (head.status, head.body) == (answer.status, b"")
    assert head.headers["content-length"] == str(len(answer.body))


async def test_directories_redirect_on_the_same_host(host: Host) -> None:
    answer = await host.get("/docs?a=1")
    assert (answer.status, answer.headers["location"]) == (308, "/docs/?a=1")
    assert answer.headers["cache-control"] == "no-cache"
    assert (await host.get("//docs")).headers.get("location", "/docs/") == "/docs/"


@pytest.mark.parametrize("path", ["/app/users/7", "/docs/v1.2", "/empty/", "/empty", "/a.b/c"])
async def test_unknown_pages_lead_to_the_start_page_of_an_spa_only(host: Host, path: str) -> None:
    page = await host.get(path, x_turnout_spa="1")
    assert (page.status, page.body) == (200, b"<h1>start</h1>")
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    again = await host.get(path, x_turnout_spa="1", if_none_match=page.headers["etag"])
    assert again.status == 304
    assert (await host.get(path, x_turnout_spa="0")).status == 404
    assert (await host.get(path)).status == 404


@pytest.mark.parametrize("path", ["/gone.js", "/assets/index-ZZ9yXw8v.js", "/a/b.css", "/x.PNG"])
async def test_missing_files_are_404_and_never_a_page(host: Host, path: str) -> None:
    answer = await host.get(path, x_turnout_spa="1")
    assert (answer.status, answer.body) == (404, b"Not found.\n")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_sites_own_404_page_keeps_its_status(host: Host) -> None:
    host.write(TWO, {"404.html": b"<h1>lost</h1>"})
    for headers in ({}, {"range": "bytes=0-1"}, {"if_none_match": "*"}):
        answer = await host.get("/nowhere", TWO, **headers)
        assert (answer.status, answer.body) == (404, b"<h1>lost</h1>")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/.git/config",
        "/.well-known/.secret",
        "/.well-known/../.env",
        "/.well-known/..%2f.env",
        "/%2eenv",
        "/app.js.turnout-etag",
        "/app.js.TURNOUT-ETAG",
        "/app.js.br.turnout-made",
        "/app.js.br",
        "/app.js.gz",
        "/app.js.b%72",
        "/assets/../app.js.br",
        "/docs/index.html.gz",
        "/assets/index-AAbb1cc2.js.br",
        "/.bridge/assets/index-AAbb1cc2.js",
        "/../.bridge/assets/index-AAbb1cc2.js",
        "/%2e%2e/.bridge/assets/index-AAbb1cc2.js",
        "/assets/plain.js",
        "/../../../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/....//....//etc/passwd",
        "/..\\..\\etc\\passwd",
        "/%00",
        "/app.js%00.html",
        "/../" + TWO + "/secret.txt",
        "/%2e%2e%2f" + TWO + "/secret.txt",
    ],
)
async def test_nothing_outside_the_release_is_reached(host: Host, path: str) -> None:
    host.write(TWO, {"secret.txt": b"another release"})
    answer = await host.get(path)
    assert answer.status in {400, 404}, answer
    assert b"root:" not in answer.body
    assert b"another release" not in answer.body


async def test_a_projects_own_compressed_file_is_reached(host: Host) -> None:
    """And is what its script is served as, where the project brought it."""
    own = brotli.compress(SCRIPT, quality=1)
    digest = hashlib.sha256(own).hexdigest()
    host.write(TWO, {"app.js": SCRIPT, "data.tar.gz": b"packed"})
    (host.place / "sites/shop/live" / TWO / "app.js.br.turnout-made").unlink()
    host.write(TWO, {"app.js.br": own})
    answer = await host.get("/app.js.br", TWO, accept_encoding="br, gzip")
    assert (answer.status, answer.body) == (200, own)
    assert answer.headers["etag"] == etag(digest)
    assert "content-encoding" not in answer.headers
    assert (await host.get("/data.tar.gz", TWO)).body == b"packed"
    encoded = await host.get("/app.js", TWO, accept_encoding="br")
    assert (encoded.headers["content-encoding"], encoded.body) == ("br", own)
    assert encoded.headers["etag"] == etag(digest)


async def test_what_turnout_compressed_is_missing_like_anything_else(host: Host) -> None:
    host.write(TWO, {"index.html": b"<p>app</p>", "404.html": b"<p>lost</p>", "app.js": SCRIPT})
    for headers in ({}, {"if_none_match": "*"}, {"range": "bytes=0-1"}, {"x_turnout_spa": "1"}):
        answer = await host.get("/app.js.br", TWO, **headers)
        assert (answer.status, answer.body) == (404, b"<p>lost</p>")
        assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "site",
    [
        "",
        "shop/live",
        f"shop/live/{ONE}/..",
        "shop/live/.bridge",
        f"../shop/live/{ONE}",
        f"shop/live/{ONE}, shop/live/{ONE}",
        f"shop/../{ONE}",
        "{env.HOME}/x/" + ONE,
    ],
)
async def test_a_root_that_is_not_plain_is_misdirected(host: Host, site: str) -> None:
    answer = await host.get("/index.html", x_turnout_site=site)
    assert answer.status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_only_reading(host: Host, method: str) -> None:
    answer = await host.get("/app.js", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_through_the_router_a_client_cannot_choose_the_root(host: Host) -> None:
    host.write(TWO, {"index.html": b"<h1>other</h1>"})
    port = free_port()
    router = EnvoyRouter(host.place / "router", host.place / "run", ("127.0.0.1", port))
    await router.start()
    try:
        backends = tuple(
            Backend(name, name * 4, (host.origin.address,), site=f"shop/live/{name}", spa=True)
            for name in (ONE, TWO)
        )
        site = Site("shop/live", ("any.test",), True, {ONE: 100}, backends)
        await router.apply([site])
        forged = {"x-turnout-site": f"shop/live/{TWO}", "X-Turnout-Spa": "0"}
        answer = await ask_once(port, "any.test", "/some/page", forged)
        assert (answer.status, answer.body) == (200, b"<h1>start</h1>")
        redirect = await ask_once(port, f"any.test:{port}", "/docs")
        assert redirect.headers["location"] == "/docs/"
        tag = answer.headers["etag"]
        await router.apply([Site("shop/live", ("any.test",), True, {TWO: 100}, backends)])
        switched = await ask_once(port, "any.test", "/", {"if-none-match": tag})
        assert (switched.status, switched.body) == (200, b"<h1>other</h1>")
    finally:
        await router.stop()


async def test_a_new_object_adopts_it_and_a_dead_one_comes_back(host: Host) -> None:
    before = host.pid()
    assert os.getsid(before) == before
    again = host.restarted()
    await again.start()
    assert host.pid() == before
    assert not again.outdated
    elsewhere = StaticOrigin(host.place / "origin", host.place / "run", host.place / "other")
    assert elsewhere.outdated
    os.kill(before, signal.SIGKILL)
    assert await Detached("origin", host.place / "run/origin.lock").wait_gone(5)
    assert not await again.alive()
    await again.start()
    assert await again.alive()
    assert host.pid() != before
    assert (await host.get("/")).status == 200


async def test_it_is_private_and_its_environment_clean(host: Host) -> None:
    for path in [host.place / "run/origin.sock", *(host.place / "origin").rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
    environment = Path(f"/proc/{host.pid()}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    names = {entry.split(b"=")[0] for entry in environment}
    assert names == {b"PATH", b"HOME", b"XDG_CONFIG_HOME", b"XDG_DATA_HOME"}


async def test_what_keeps_it_from_starting_is_named(place: Path) -> None:
    missing = StaticOrigin(place / "o", place / "run", place / "sites", binary=place / "caddy")
    with pytest.raises(Failed, match="caddy"):
        await missing.start()
    deep = StaticOrigin(place / "o", place / ("x" * 100), place / "sites")
    with pytest.raises(Failed, match="too long"):
        await deep.start()
