"""The dashboard lets in who logs in, shows what is live, and runs nobody else's scripts."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import turnout.web
from tests.api.requests import deploy_request
from tests.fakes import house as houses
from tests.fakes.house import BASE, FakeHouse, served
from turnout.environments.catalogue import Catalogue

OWN = {"Origin": BASE}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeHouse]:
    made = houses.build(tmp_path)
    Catalogue(made.database).add("shop", "ab" * 32, files=3, size=1000)
    yield made
    made.database.close()


@pytest.fixture
def browser(house: FakeHouse) -> Iterator[TestClient]:
    with house.client(token=False) as made:
        yield made


def log_in(browser: TestClient, house: FakeHouse) -> None:
    answer = browser.post("/login", data={"token": house.token}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert house.token.lower() not in cookie


def test_strangers_are_led_to_the_login(browser: TestClient) -> None:
    answer = browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert browser.get("/fragments/overview").status_code == 401
    assert browser.get("/changes").status_code == 401
    page = browser.get("/login")
    assert page.status_code == 200 and 'type="password"' in page.text


def test_log_in_look_and_log_out(browser: TestClient, house: FakeHouse) -> None:
    log_in(browser, house)
    page = browser.get("/")
    assert page.status_code == 200 and "Nothing is deployed yet" in page.text
    secret = browser.cookies["turnout_session"]
    assert browser.post("/logout", headers=OWN).status_code == 303
    browser.cookies.set("turnout_session", secret)
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("token", ["", "x", "turnout_000000000000_" + "A" * 43, "é", "x" * 9000])
def test_a_wrong_token_is_refused(browser: TestClient, token: str) -> None:
    answer = browser.post("/login", data={"token": token}, headers=OWN)
    assert answer.status_code == 401 and "not valid" in answer.text
    assert "set-cookie" not in answer.headers
    if len(token) > 4:
        assert token not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:8080"},
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_forms_of_other_sites_are_refused(
    browser: TestClient, house: FakeHouse, path: str, headers: dict[str, str]
) -> None:
    answer = browser.post(path, data={"token": house.token}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_printed_link_works_once(browser: TestClient, house: FakeHouse) -> None:
    code = house.sessions.new_code()
    page = browser.get("/login", params={"code": code})
    assert page.status_code == 200 and 'http-equiv="refresh"' in page.text
    assert code not in page.text
    assert browser.get("/").status_code == 200
    browser.cookies.clear()
    again = browser.get("/login", params={"code": code})
    assert again.status_code == 401 and "set-cookie" not in again.headers


def test_what_is_live_is_shown(browser: TestClient, house: FakeHouse) -> None:
    log_in(browser, house)
    with house.client() as api:
        made = api.post("/api/v1/deployments", json=deploy_request()).json()
        page = browser.get("/").text
        assert "phase 3 of 7" in page and "abababababab" in page
        house.coordinator.finish(made["id"])
    fragment = browser.get("/fragments/overview")
    assert "<html" not in fragment.text
    assert re.search(r"<code>abababababab</code>", fragment.text)
    assert "phase 3" not in fragment.text
    assert "succeeded" in fragment.text


def test_hostile_text_is_shown_as_text(browser: TestClient, house: FakeHouse) -> None:
    log_in(browser, house)
    with house.client() as api:
        made = api.post("/api/v1/deployments", json=deploy_request()).json()
    found = house.coordinator.deployments[made["id"]]
    house.coordinator.deployments[made["id"]] = found.model_copy(
        update={"status": "failed", "reason": "<script>alert(1)</script>"}
    )
    page = browser.get("/").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_no_page_runs_inline_scripts_or_asks_strangers(
    browser: TestClient, house: FakeHouse
) -> None:
    log_in(browser, house)
    for path in ("/", "/login", "/nothing"):
        answer = browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["referrer-policy"] == "same-origin"
        assert len(answer.headers.get_list("content-security-policy")) == 1
        assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)
        assert not re.search(r"\son\w+=|style=", answer.text)
        for address in re.findall(r"(?:src|href|action)=\"([^\"]*)\"", answer.text):
            assert address.startswith(("/", "#")), address
    for path in (Path(turnout.web.__file__).parent / "static").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text


@pytest.mark.parametrize(
    "path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/static/"]
)
def test_only_static_files_are_served(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_the_signs_of_change_arrive_and_resume(house: FakeHouse) -> None:
    account = house.tokens.verify(house.token)
    assert account is not None
    cookie = {"Cookie": f"turnout_session={house.sessions.open(account)}"}
    with served(house) as client:
        client.headers.pop("authorization")
        with client.stream("GET", "/changes", headers=cookie) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: hello"
            threading.Thread(target=house.coordinator.tell, args=("kind",)).start()
            assert "event: change" in (line for line in lines)
            assert "event: beat" in (line for line in lines), "traffic changes without an event"
        with client.stream("GET", "/changes?after=0", headers=cookie) as answer:
            assert "id: 1" in (line for line in answer.iter_lines())
