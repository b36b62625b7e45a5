"""The deployment page: shows what there is, does what is asked, and trusts no text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.fakes.house import BASE, FakeHouse
from tests.web import samples
from turnout.base.errors import Unreachable
from turnout.wire.api import DeploymentDetail, WaitingFor

OWN = {"Origin": BASE}
PAGE = f"/deployments/{samples.ID}"


class Tags(HTMLParser):
    """The elements of a page, as a browser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._found: list[tuple[str, list[str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._found.append((tag, [name for name, _ in attrs]))

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        return iter(self._found)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self._found]


KNOWN_TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "img",
        "p",
        "form",
        "button",
        "main",
        "div",
        "nav",
        "span",
        "h1",
        "h2",
        "h3",
        "h4",
        "section",
        "code",
        "strong",
        "dl",
        "dt",
        "dd",
        "time",
        "details",
        "summary",
        "label",
        "textarea",
        "input",
        "ol",
        "ul",
        "li",
        "svg",
        "rect",
        "path",
        "line",
        "text",
        "figure",
        "figcaption",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "noscript",
        "footer",
        "progress",
    ]
)


def put(rich: FakeHouse, detail: DeploymentDetail | None = None, **live: Any) -> Any:
    coordinator: Any = rich.coordinator
    detail = detail or samples.canary()
    coordinator.deployments[detail.id] = detail
    coordinator.live = samples.environment_of(detail, **live)
    return coordinator


def ended(**changes: Any) -> DeploymentDetail:
    return samples.canary(at=13, status="succeeded", waiting_for=None, split=(), **changes)


def test_a_canary_is_shown_whole(rich: FakeHouse, visitor: TestClient) -> None:
    put(rich).papers = samples.evidence()
    page = visitor.get(PAGE).text
    for text in (
        "Faster checkout", "by admin", "25 % until the verdict is in", "Point of no return",
        'id="chart-weight"', 'id="chart-errors"', 'id="chart-latency"', 'id="chart-evidence"',
        "bad from 200", "6.09 % (5.4 % to 6.8 %)", "taken back by", "attempt 2",
    ):  # fmt: skip
        assert text in page, text


def test_a_coordinator_that_knows_less_is_shown_all_the_same(
    rich: FakeHouse, visitor: TestClient
) -> None:
    detail = ended(phases=(), steps=(), plan_digest="", no_return_at=None, phase=None)
    coordinator = put(rich, detail)

    async def broken(*_: Any, **__: Any) -> Any:
        raise Unreachable("The host does not answer", subject="web-1")

    for name in ("logs", "evidence", "environment"):
        setattr(coordinator, name, broken)
    page = visitor.get(PAGE)
    assert page.status_code == 200
    assert "The log cannot be read now" in page.text
    assert "What is live now could not be read" in page.text


def test_a_fault_in_the_pictures_leaves_the_actions(rich: FakeHouse, visitor: TestClient) -> None:
    coordinator = put(rich)

    async def faulty(*_: Any) -> Any:
        raise ZeroDivisionError

    coordinator.evidence = faulty  # type: ignore[method-assign]
    page = visitor.get(PAGE)
    assert page.status_code == 200
    assert "/abort" in page.text


@pytest.mark.parametrize("part", ["", "/evidence", "/logs"])
def test_fragments_are_parts_of_the_page(rich: FakeHouse, visitor: TestClient, part: str) -> None:
    coordinator = put(rich)
    coordinator.papers, coordinator.lines = samples.evidence(), samples.log_entries()
    answer = visitor.get(f"/fragments/deployments/{samples.ID}{part}")
    assert answer.status_code == 200 and "<html" not in answer.text and answer.text.strip()
    visitor.cookies.clear()
    assert visitor.get(f"/fragments/deployments/{samples.ID}{part}").status_code == 401


def test_strangers_see_and_do_nothing(rich: FakeHouse, visitor: TestClient) -> None:
    coordinator = put(rich)
    visitor.cookies.clear()
    assert visitor.get(PAGE).headers["location"] == "/login"
    assert visitor.post(f"{PAGE}/abort", headers=OWN).status_code == 401
    assert coordinator.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("verb", ["abort", "approve", "rollback", "promote"])
def test_other_sites_do_nothing(
    rich: FakeHouse, visitor: TestClient, verb: str, headers: dict[str, str]
) -> None:
    coordinator = put(rich)
    assert visitor.post(f"{PAGE}/{verb}", headers=headers).status_code == 403
    assert visitor.get(f"{PAGE}/{verb}").status_code == 405
    assert coordinator.calls == []


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort", "retry"])
def test_an_action_is_passed_on(rich: FakeHouse, visitor: TestClient, verb: str) -> None:
    coordinator = put(rich)
    answer = visitor.post(f"{PAGE}/{verb}", data={"reason": " because\r\nof it "}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?did={verb}")
    assert coordinator.asked == [(samples.ID, verb, "because\nof it")]
    assert coordinator.calls == [(verb, "admin")]
    assert "Done:" in visitor.get(answer.headers["location"]).text


def test_an_approval_names_its_plan(rich: FakeHouse, visitor: TestClient) -> None:
    waiting = WaitingFor(kind="approval", since=samples.NOW, ways_out=("approve", "reject"))
    coordinator = put(rich, samples.canary(waiting_for=waiting))
    page = visitor.get(PAGE).text
    assert f'name="digest" value="{"f" * 64}"' in page
    for digest in ("", "0" * 64, "é"):
        answer = visitor.post(f"{PAGE}/approve", data={"digest": digest}, headers=OWN)
        assert answer.status_code == 409 and "not the one that the page showed" in answer.text
    assert coordinator.calls == []
    answer = visitor.post(f"{PAGE}/approve", data={"digest": "f" * 64}, headers=OWN)
    assert answer.status_code == 303 and coordinator.calls == [("approve", "admin")]


def test_a_rollback_goes_where_the_page_said(rich: FakeHouse, visitor: TestClient) -> None:
    coordinator = put(rich, ended(), live_release=samples.RELEASE)
    page = visitor.get(PAGE).text
    assert f'name="to" value="{"12" * 32}"' in page
    stale = visitor.post(f"{PAGE}/rollback", data={"to": "34" * 32}, headers=OWN)
    assert stale.status_code == 409 and "has changed" in stale.text
    answer = visitor.post(f"{PAGE}/rollback", data={"to": "12" * 32, "reason": "slow"}, headers=OWN)
    assert answer.status_code == 303
    assert re.fullmatch(r"/deployments/dep-\w+\?did=begun", answer.headers["location"])
    (request,) = coordinator.rolled
    assert (request.to, request.reason) == ("12" * 32, "slow")


def test_what_is_not_possible_is_refused_on_the_page(rich: FakeHouse, visitor: TestClient) -> None:
    put(rich, ended())
    answer = visitor.post(f"{PAGE}/abort", headers=OWN)
    assert answer.status_code == 409 and "Not done:" in answer.text and PAGE in answer.text
    answer = visitor.post(f"{PAGE}/rollback", data={"to": "12" * 32}, headers=OWN)
    assert answer.status_code == 409 and "no longer live" in answer.text


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/deployments/nothing/abort", {}, 404),
        (f"{PAGE}/explode", {}, 404),
        (f"{PAGE}/abort", {"reason": "x" * 2001}, 422),
        (f"{PAGE}/abort", {"reason": "a\x00b"}, 422),
        (f"{PAGE}/abort", {"reason": "x" * 40_000}, 422),
        (f"{PAGE}/abort", {str(n): "x" for n in range(20)}, 422),
    ],
)
def test_a_bad_form_does_nothing(
    rich: FakeHouse, visitor: TestClient, path: str, data: dict[str, str], status: int
) -> None:
    coordinator = put(rich)
    assert visitor.post(path, data=data, headers=OWN).status_code == status
    assert coordinator.calls == []


def test_hostile_texts_stay_texts(rich: FakeHouse, visitor: TestClient) -> None:
    evil = samples.HOSTILE
    detail = samples.canary(message=evil, reason=evil, requested_by=evil, strategy=evil)
    steps = tuple(
        step.model_copy(update={"title": evil, "error": evil, "undo": evil, "result": {evil: evil}})
        for step in detail.steps
    )
    waiting = WaitingFor(kind="hold", name=evil, reason=evil, since=samples.NOW)
    detail = detail.model_copy(
        update={
            "steps": steps, "waiting_for": waiting, "problem": {"next_step": evil},
            "url": "javascript:alert(1)", "urls": ("javascript:alert(1)",), "release_url": "",
        }
    )  # fmt: skip
    coordinator = put(rich, detail)
    papers = samples.evidence()
    assert papers.verdict is not None
    verdict = papers.verdict.model_copy(
        update={"reason": evil, "metrics": {evil: {"reason": evil, evil: evil}}}
    )
    decisions = tuple(
        one.model_copy(update={"reason": evil, "by": evil, "what": evil})
        for one in papers.decisions
    )
    points = tuple(one.model_copy(update={"log_e": {evil: 1.0}}) for one in papers.points)
    coordinator.papers = papers.model_copy(
        update={"verdict": verdict, "decisions": decisions, "points": points}
    )
    coordinator.lines = samples.log_entries()
    for path in ("/", PAGE):
        page = visitor.get(path).text
        assert "<script>alert" not in page and "<img src=x" not in page
        assert "javascript:" not in page
        found = Tags(page)
        assert set(found.names) <= KNOWN_TAGS
        assert all("src" in attributes for name, attributes in found if name == "script")
        assert not [a for _, names in found for a in names if a.startswith("on") or a == "style"]
    assert unescape(page).count(evil) > 20, "shown as it is"


def test_the_theme_is_remembered_and_leads_nowhere_else(visitor: TestClient) -> None:
    assert 'data-theme="auto"' in visitor.get("/").text
    for back, to in (
        (PAGE, PAGE), ("//evil.example", "/"), ("https://evil.example", "/"),
        ("/deployments/../x", "/"),
    ):  # fmt: skip
        answer = visitor.post("/theme", data={"theme": "dark", "back": back}, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, to)
    assert 'data-theme="dark"' in visitor.get("/").text
    assert visitor.post("/theme", data={"theme": "dark"}).status_code == 403
    visitor.cookies.clear()
    visitor.cookies.set("turnout_theme", "sepia")
    assert 'data-theme="auto"' in visitor.get("/login").text
