"""The dashboard in a real browser over prepared documents: looks, keyboard, refresh, no scripts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import browsers
from tests.e2e.browsers import CONTRASTS, DESK, PHONE, SMALL, UNNAMED, opened
from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from tests.web import samples
from tests.web.samples import RichCoordinator
from turnout.base import clock
from turnout.base.database import Database, metadata
from turnout.monitoring.events import EventLog
from turnout.wire.api import WaitingFor

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
PAGE = f"/deployments/{samples.ID}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.chromium() as found:
        yield found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeHouse]:
    database = Database(f"sqlite:///{tmp_path / 'rich.db'}")
    metadata.create_all(database.engine)
    coordinator = RichCoordinator(database, EventLog(database))
    now = clock.now()
    detail = samples.canary(now)
    before = samples.canary(
        now - timedelta(hours=3), at=13, id="dep-before", status="succeeded", release=samples.LIVE,
        waiting_for=None, split=(), message=samples.HOSTILE, requested_by=samples.HOSTILE,
    )  # fmt: skip
    failed = samples.canary(
        now - timedelta(hours=1), id="dep-failed", environment="staging", status="rolled_back",
        waiting_for=None, split=(), reason="Its answers fail more often. " * 9, message="x" * 300,
    )  # fmt: skip
    for one in (before, failed, detail):
        coordinator.deployments[one.id] = one
    coordinator.live = samples.environment_of(detail)
    coordinator.papers = samples.evidence(now)
    coordinator.lines = samples.log_entries(now)
    yield houses.attach(tmp_path, database, coordinator)
    database.close()


@pytest.fixture
def base(house: FakeHouse) -> Iterator[str]:
    with houses.served(house) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def cookies(house: FakeHouse) -> dict[str, str]:
    account = house.tokens.verify(house.token)
    assert account is not None
    return {"turnout_session": house.sessions.open(account)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_every_page_is_readable(
    browser: Any, base: str, cookies: dict[str, str], scheme: str, size: dict[str, int]
) -> None:
    with opened(browser, base, cookies=cookies, viewport=size, color_scheme=scheme) as page:
        for path in ("/", PAGE, "/deployments/dep-failed", "/login", "/deployments/nothing"):
            page.goto(path)
            for more in page.locator("details.more").all():
                if more.is_visible():
                    more.locator("summary").click()
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{path} is wider than the window"
            assert page.evaluate(CONTRASTS) == [], path
            assert page.evaluate(UNNAMED) == [], path
            assert page.evaluate(SMALL) == [], path
            ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
            assert len(ids) == len(set(ids)), path
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(245, 247, 248)", "dark": "rgb(16, 22, 28)"}[scheme]


def test_a_canary_is_aborted_by_keyboard_alone(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies, viewport=DESK) as page:
        page.goto("/")
        _tab_to(page, f"a[href='{PAGE}']")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{PAGE}")
        _tab_to(page, "#act-abort > summary")
        page.keyboard.press("Enter")
        assert page.locator("#act-abort").get_attribute("open") is not None
        page.keyboard.press("Escape")
        assert page.locator("#act-abort").get_attribute("open") is None
        assert page.locator("#act-abort > summary").evaluate("(e) => e === document.activeElement")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("too many errors")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator("#notice", has_text="Asked to abort").wait_for()
        assert house.coordinator.asked == [(samples.ID, "abort", "too many errors")]
        assert page.locator("#act-abort").get_attribute("open") is None


def test_what_cannot_be_done_says_why(browser: Any, base: str, cookies: dict[str, str]) -> None:
    with opened(browser, base, cookies=cookies, viewport=PHONE) as page:
        page.goto(PAGE)
        _tab_to(page, "#act-approve button")
        tip = page.locator("#why-approve")
        assert tip.is_visible() and "does not wait" in tip.inner_text()
        page.keyboard.press("Enter")
        assert page.url.endswith(PAGE)


def test_a_refresh_takes_nothing_from_the_reader(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies, viewport=PHONE) as page:
        page.goto(PAGE)
        page.locator("#link-state[data-state=on]").wait_for()
        page.locator("#phase-staging > summary").click()
        page.locator("#phase-promotion > summary").click()
        page.locator("#step-3-more > summary").click()
        page.locator("#act-abort > summary").click()
        page.locator("#reason-abort").fill("half a sen")
        scrolled = page.evaluate("window.scrollY")
        # Goes on while the reader writes: the next step, another weight, other texts.
        detail = samples.canary(clock.now(), at=10, status="running", waiting_for=None, split=())
        house.coordinator.deployments[samples.ID] = detail.model_copy(
            update={
                "waiting_for": WaitingFor(
                    kind="hold", since=clock.now(), reason="Another reason", ways_out=("abort",)
                )
            }
        )
        house.coordinator.tell("step.done", samples.ID)
        page.get_by_text("Another reason").wait_for()
        assert page.locator("#split").count() == 0
        assert page.locator("#reason-abort").input_value() == "half a sen"
        assert page.locator("#reason-abort").evaluate("(e) => e === document.activeElement")
        opened_now = {
            name: page.locator(f"#{name}").get_attribute("open") is not None
            for name in ("phase-staging", "phase-promotion", "step-3-more", "act-abort")
        }
        assert opened_now == {
            "phase-staging": True, "phase-promotion": False, "step-3-more": True,
            "act-abort": True,
        }  # fmt: skip
        assert abs(page.evaluate("window.scrollY") - scrolled) < 400


def test_a_phase_opens_when_it_begins(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies, viewport=DESK) as page:
        page.goto(PAGE)
        page.locator("#link-state[data-state=on]").wait_for()
        assert page.locator("#phase-verification").get_attribute("open") is None
        house.coordinator.deployments[samples.ID] = samples.canary(clock.now(), at=11)
        house.coordinator.tell("phase.started", samples.ID)
        page.locator("#phase-verification[open]").wait_for()
        assert page.locator("#phase-promotion[open]").count() == 1, "nothing is closed"


def test_a_tab_that_nobody_looks_at_holds_no_stream(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies, viewport=DESK) as page:
        page.goto(PAGE)
        page.locator("#link-state[data-state=on]").wait_for()
        turn = """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
        with page.expect_event("requestfailed", lambda asked: "/changes" in asked.url):
            page.evaluate(turn, True)
        page.locator("#link-state[data-state=off]").wait_for()
        house.coordinator.deployments[samples.ID] = samples.canary(clock.now(), at=11)
        page.evaluate(turn, False)
        page.locator("#phase-verification[open]").wait_for()
        page.locator("#link-state[data-state=on]").wait_for()


def test_the_log_follows_until_it_is_read_back(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    begun = clock.now()
    line = samples.log_entries(begun)[0]
    house.coordinator.lines = [
        line.model_copy(update={"text": f"line {n}", "at": begun + timedelta(seconds=n)})
        for n in range(150)
    ]
    with opened(browser, base, cookies=cookies, viewport=DESK) as page:
        page.goto(PAGE)
        log = page.locator("#log")
        assert log.evaluate("(e) => e.scrollTop + e.clientHeight >= e.scrollHeight - 2")
        house.coordinator.lines.append(line.model_copy(update={"text": samples.HOSTILE + "!"}))
        page.get_by_text(samples.HOSTILE + "!").wait_for()
        assert log.evaluate("(e) => e.scrollTop + e.clientHeight >= e.scrollHeight - 2")
        log.evaluate("(e) => { e.scrollTop = 40 }")
        house.coordinator.lines.append(line.model_copy(update={"text": "one more"}))
        page.get_by_text("one more").wait_for(state="attached")
        assert log.evaluate("(e) => e.scrollTop") == 40


def test_without_scripts_everything_works(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies, viewport=PHONE, java_script_enabled=False) as page:
        page.goto("/")
        page.locator(f"a[href='{PAGE}']").first.click()
        assert not page.locator("#follow").is_visible()
        page.locator("#act-pause button").click()
        assert "Asked to pause" in page.locator("#notice").inner_text()
        page.locator("#act-promote > summary").click()
        page.locator("#reason-promote").fill("I am sure")
        page.locator("#act-promote button").click()
        assert page.url.endswith(f"{PAGE}?did=promote")
        assert house.coordinator.asked[-1] == (samples.ID, "promote", "I am sure")
        page.get_by_role("button", name="dark").click()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        assert page.url.endswith(PAGE)


def test_motion_is_reduced_on_request(browser: Any, base: str, cookies: dict[str, str]) -> None:
    with opened(browser, base, cookies=cookies, reduced_motion="reduce") as page:
        page.goto(PAGE)
        moving = page.evaluate("document.getAnimations().length")
        assert moving == 0


def test_who_is_logged_out_is_led_to_the_login(
    browser: Any, base: str, cookies: dict[str, str], house: FakeHouse
) -> None:
    with opened(browser, base, cookies=cookies) as page:
        page.goto(PAGE)
        page.locator("#link-state[data-state=on]").wait_for()
        house.sessions.close(cookies["turnout_session"])
        house.coordinator.tell("step.done", samples.ID)
        page.wait_for_url("**/login")


def _tab_to(page: Any, selector: str) -> None:
    wanted = page.locator(selector).first
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("(one) => one === document.activeElement"):
            outline = wanted.evaluate("(one) => getComputedStyle(one).outlineStyle")
            assert outline != "none", "the focus is seen"
            return
    raise AssertionError(f"{selector} is not reached by keyboard")
