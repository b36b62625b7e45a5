"""A canary on a real server under load, watched and steered by its page in a real browser."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from load import Kind, Load, Report, Target
from tests.e2e import browsers
from tests.e2e.browsers import CONTRASTS, DESK, PHONE, SMALL, UNNAMED, opened
from tests.stand import projects
from tests.stand.projects import Project
from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
PATIENCE_MS = 60_000
RATE = 60.0
KINDS = {Kind.KEEP_ALIVE: 0.7, Kind.NEW_CONNECTION: 0.3}
MOVING = (("latency", "candidate"), ("latency", "control"), ("evidence", "first"))
"""Charts and the lines of theirs that no second leaves as they were."""
NO_TIMERS = "window.setInterval = () => 0;"
"""With this a page only learns of what the event stream tells it."""

FIRST_ASKS = """{ steps = [
  { weight = 20, hold = "4s", max_hold = "10m", min_requests = 40 },
  { weight = 50, hold = "10m", approval = true },
] }"""
HOLDS_LONG = '{ steps = [{ weight = 20, hold = "10m" }] }'
FAULTS = {
    "server.js": {
        "function front(_, response) {\n": "let pages = 0;\n\nfunction front(_, response) {\n"
        "  pages += 1;\n  if (pages % 3 === 0) return json(response, 500, { error: pages });\n"
    },
    "app.py": {
        "def front(handler, query):\n": "pages = []\n\n\ndef front(handler, query):\n"
        "    pages.append(1)\n    if len(pages) % 3 == 0:\n"
        '        return handler.answer_json(500, {"error": len(pages)})\n'
    },
}
LINE = "#chart-{} .plot-lines path.line[data-look={}]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.chromium() as found:
        yield found


@dataclass
class Canary:
    """A project whose first version is live and whose second is about to be tried."""

    stand: Stand
    app: Project
    url: str
    live: str
    report: Report = field(default_factory=lambda: Report(()))
    """What visitors met, once they are gone."""

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Ask the site all the time."""
        over = threading.Event()
        host = urlsplit(self.url).netloc
        target = Target("127.0.0.1", self.stand.http_port, host=host)

        async def run() -> None:
            async with Load([target], rate=RATE, kinds=KINDS) as load:
                await asyncio.to_thread(over.wait)
            self.report = load.report()

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)
            assert not thread.is_alive()

    def start(self) -> Any:
        """Begin the deployment of the second version; return its document."""
        begun = self.stand.cli("deploy", self.app.path, "--to", "production", "--no-wait")
        assert begun.code == 0, begun
        return begun.document

    def break_some_pages(self) -> None:
        """Let every third page of the second version be an error."""
        text = self.app.code.read_text()
        for old, new in FAULTS[self.app.code.name].items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        self.app.code.write_text(text)

    def served_without_failure(self) -> frozenset[str]:
        """Demand that no visitor met a failure; return the releases that answered."""
        assert self.report.requests > RATE
        assert not self.report.failures and not self.report.skipped
        return frozenset(self.report.by_release)


def canary(stand: Stand, directory: Path, name: str, schedule: str) -> Canary:
    """Make a first version live and a second one ready."""
    app = projects.app(directory, name, rollout_strategy='"canary"', rollout_canary=schedule)
    first = stand.cli("deploy", app.path, "--to", "production")
    assert first.code == 0, first
    app.change()
    return Canary(stand, app, first.document["url"], first.document["release"])


def moved(page: Any, path: str, before: str | None = None) -> str:
    """Wait until a line of a chart is drawn otherwise than before; return its path."""
    found = page.wait_for_function(
        """([path, before]) => {
          const d = document.querySelector(path)?.getAttribute("d");
          return d && d !== before && d;
        }""",
        arg=[path, before],
    )
    return str(found.json_value())


def confirm(page: Any, verb: str, reason: str = "") -> None:
    """Press an action that asks once more, and confirm it."""
    page.locator(f"#act-{verb} > summary").click()
    page.locator(f"#reason-{verb}").fill(reason)
    page.locator(f"#act-{verb} form button").click()


def split(page: Any) -> dict[str, int]:
    """Return the weights that the page shows, by role."""
    text = page.locator("#split .legend").inner_text()
    return {role: int(weight) for role, weight in re.findall(r"(\w+)\s+\w+\s+(\d+) %", text)}


def readable(page: Any, size: dict[str, int]) -> None:
    page.set_viewport_size(size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for what in (CONTRASTS, UNNAMED, SMALL):
        assert page.evaluate(what) == []


@contextmanager
def shown(browser: Any, stand: Stand, started: str) -> Iterator[Any]:
    """Open the page of a deployment under way in a browser whose pages have no timers."""
    with opened(browser, stand.api, viewport=DESK) as page:
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(NO_TIMERS)
        page.goto("/")
        page.get_by_label("Token").fill(stand.token)
        page.get_by_role("button", name="Log in").click()
        page.locator(f".way a[href='/deployments/{started}']").click()
        page.locator("#link-state[data-state=on]").wait_for()
        page.evaluate("window.isTheSame = true")
        yield page
        assert page.evaluate("window.isTheSame"), "all of it came over the stream"


def test_a_canary_is_approved_paused_resumed_and_aborted(
    browser: Any, stand: Stand, tmp_path: Path
) -> None:
    tried = canary(stand, tmp_path, "steered", FIRST_ASKS)
    with tried.visited():
        begun = tried.start()
        with shown(browser, stand, begun["id"]) as page:
            _watch_until_it_asks(page)
            _approve(page)
            _pause_and_resume(page)
            _abort(page)
    assert tried.served_without_failure() == {tried.live, begun["release"]}
    status = stand.cli("status", "production", "--project", "steered").document
    assert status["items"][0]["live_release"] == tried.live


def test_a_canary_is_promoted_now(browser: Any, stand: Stand, tmp_path: Path) -> None:
    tried = canary(stand, tmp_path, "hurried", HOLDS_LONG)
    with tried.visited():
        begun = tried.start()
        with shown(browser, stand, begun["id"]) as page:
            page.locator("#waiting-title", has_text="Holding: 20 %").wait_for()
            confirm(page, "promote", "it is urgent")
            page.locator("#head[data-under-way=no]").wait_for()
            assert page.locator("#head .badge").inner_text() == "succeeded"
            assert page.locator(".phase[data-tone=good]").count() == 7
            decided = page.locator("#evidence tr[id^=decision]", has_text="go on").inner_text()
            assert "admin" in decided, "who promoted it is kept"
    assert tried.served_without_failure() == {tried.live, begun["release"]}


def test_a_faulty_canary_is_seen_to_go_back(browser: Any, stand: Stand, tmp_path: Path) -> None:
    tried = canary(stand, tmp_path, "faulty", HOLDS_LONG)
    tried.break_some_pages()
    with tried.visited():
        begun = tried.start()
        with shown(browser, stand, begun["id"]) as page:
            page.locator("#head[data-under-way=no]").wait_for()
            assert page.locator("#head .badge").inner_text() == "rolled back"
            page.locator("#evidence .head-line .badge", has_text="bad").wait_for()
            assert "error_rate is worse" in page.locator("#head .why").inner_text()
            last = page.locator("#evidence tr[id^=decision]").last.inner_text()
            assert "abort" in last and "bad" in last
            (level,) = page.locator("#chart-evidence line.rule").evaluate_all(
                "(all) => all.map((one) => parseFloat(one.getAttribute('y1')) * 10)"
            )
            line = page.locator(LINE.format("evidence", "first")).get_attribute("d")
            assert float(line.split()[-1]) < level, "it ends above the line"
            readable(page, PHONE)
    failed = {one.release for one in tried.report.records if one.failure}
    assert failed == {begun["release"]}, "the stable release failed no request"


def _watch_until_it_asks(page: Any) -> None:
    page.locator("#waiting-title", has_text="Holding: 20 %").wait_for()
    assert split(page) == {"candidate": 20, "live": 80}
    errors = LINE.format("errors", "candidate")
    moved(page, errors, moved(page, errors))
    page.locator("#waiting-title", has_text="Waiting for an approval").wait_for()
    for chart, look in MOVING:
        line = LINE.format(chart, look)
        moved(page, line, moved(page, line))
    for arm in ("candidate", "control"):
        band = page.locator(f"#chart-latency .plot-lines path.area[data-look^={arm}]")
        band.first.wait_for(state="attached")
    assert page.locator("#chart-evidence line.rule").count() > 0, "the line of the e-value"
    assert page.locator("#evidence .head-line .badge").inner_text() in ("good", "unknown")
    readable(page, PHONE)
    readable(page, DESK)


def _approve(page: Any) -> None:
    confirm(page, "approve", "looks good to me")
    page.locator("#waiting-title", has_text="Holding: 50 %").wait_for()
    page.locator("#split", has_text="50 %").wait_for()
    assert split(page) == {"candidate": 50, "live": 50}


def _pause_and_resume(page: Any) -> None:
    page.locator("#act-pause button").click()
    page.locator("#head .badge", has_text="paused").wait_for()
    assert split(page) == {"candidate": 50, "live": 50}, "the weight stays"
    page.locator("#act-resume button").click()
    page.locator("#waiting-title", has_text="Holding: 50 %").wait_for()
    line = LINE.format("errors", "candidate")
    moved(page, line, moved(page, line))


def _abort(page: Any) -> None:
    confirm(page, "abort", "we have seen enough")
    page.locator("#head[data-under-way=no]").wait_for()
    assert page.locator("#head .badge").inner_text() == "aborted"
    assert "we have seen enough" in page.locator("#head .why").inner_text()
    assert page.locator("#split").count() == 0
