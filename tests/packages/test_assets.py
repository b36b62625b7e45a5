"""Which names count as hashed: for browsers' caches strictly, for the bridge generously."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.packages.assets import ENCODINGS, etag, is_bridged, is_hashed

HASHED = [
    "index-B3xK9a_2.js",
    "main.4f3a9c1d.css",
    "chunk-ABCDEF12.mjs",
    "chunk-QWERTYUI.js",
    "assets/logo-CQ4Jj9-p.svg",
    "/static/js/main.4f3a9c1d.chunk.js",
    "/static/js/main.4f3a9c1d.js.map",
    "/_next/static/chunks/117-3a6b3b1b0b0b.js",
    "/_next/static/x0dJ1/_buildManifest.js",
    "/fonts/4f3a9c1d77aa.woff2",
    "application-908e25f4bf641868d8683022a5b62f54.css",
    "_app/immutable/entry/start.Bq7yw3lR.js",
]

NOT_HASHED = [
    "bootstrap.min.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "bootstrap-5.3.0-alpha1.js",
    "jquery-3.6.0.min.js",
    "lodash-camelCase.js",
    "viewer-Scene3D.js",
    "app-viewer3D.js",
    "my-version2.js",
    "polyfills-es2015polyfill.js",
    "Roboto-MediumItalic.woff2",
    "MathJax_Size1-Regular.woff",
    "report-20240131.pdf",
    "icon-1024x1024.png",
    "photo-DSC01234.jpg",
    "README.md",
    "COMMANDS.md",
    "sw.js",
    # Pages and downloads change under their names, whatever the names look like.
    "page-4f3a9c1d.html",
    "app-4f3a9c1d.zip",
]


@pytest.mark.parametrize("path", HASHED)
def test_hashes_are_seen(path: str) -> None:
    assert is_hashed(path)
    assert is_bridged(path)


@pytest.mark.parametrize("path", NOT_HASHED)
def test_words_dates_and_versions_are_no_hashes(path: str) -> None:
    assert not is_hashed(path)


@pytest.mark.parametrize(
    "path", ["index.html", "about/B3xK9a_2.html", "report-B3xK9a_2Qx.doc", "swagger-ui-bundle.js"]
)
def test_pages_documents_and_plain_scripts_are_not_bridged(path: str) -> None:
    assert not is_bridged(path)


@pytest.mark.parametrize(
    ("letters", "length"),
    [
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 8),
        ("0123456789abcdef", 8),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8),
    ],
)
def test_hardly_a_hash_is_missed_by_the_bridge(letters: str, length: int) -> None:
    chosen = random.Random(7)
    names = ["".join(chosen.choices(letters, k=length)) for _ in range(1000)]
    missed = [name for name in names if not is_bridged(f"assets/index-{name}.js")]
    assert len(missed) <= 10


@given(st.from_regex(r"[a-z]{1,12}(-[a-z]{1,12}){0,3}(\.min)?\.(js|css|png)", fullmatch=True))
def test_names_of_lower_case_words_never_count(name: str) -> None:
    assert not is_hashed(name)
    assert not is_bridged(name)


def test_every_variant_has_a_strong_tag_of_its_own() -> None:
    tags = {etag("ab" * 32, encoding) for encoding in ("", *ENCODINGS)}
    assert len(tags) == 1 + len(ENCODINGS)
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
