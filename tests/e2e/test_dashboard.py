"""The dashboard in a real browser on a real server: what is deployed is seen, and acted on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import browsers
from tests.e2e.browsers import CONTRASTS, DESK, PHONE, opened
from tests.stand import projects
from tests.stand.stand import Ended, Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
HOSTILE = "<script>alert(1)</script>"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.chromium() as found:
        yield found


@pytest.fixture
def page(browser: Any, stand: Stand) -> Iterator[Any]:
    """A page of a browser that is logged in."""
    with opened(browser, stand.api, viewport=DESK) as found:
        found.set_default_timeout(PATIENCE_MS)
        found.goto("/")
        found.get_by_label("Token").fill(stand.token)
        found.get_by_role("button", name="Log in").click()
        found.locator("#link-state[data-state=on]").wait_for()
        yield found


@contextmanager
def meanwhile(command: Callable[[], Ended]) -> Iterator[list[Ended]]:
    """Run a command while the browser is driven; yield a list that will hold how it ended."""
    found: list[Ended] = []
    thread = threading.Thread(target=lambda: found.append(command()))
    thread.start()
    try:
        yield found
    finally:
        thread.join(120)
        assert not thread.is_alive()


def test_the_printed_link_shows_the_overview(browser: Any) -> None:
    with Stand() as own, opened(browser, own.api, viewport=PHONE) as page:
        page.goto(own.start()["login_url"])
        page.wait_for_url(own.api + "/")
        page.get_by_text("Nothing is deployed yet").wait_for()


def test_a_deployment_is_seen_as_it_happens(stand: Stand, page: Any, tmp_path: Path) -> None:
    site = projects.site(tmp_path, "docs")
    message = f"First {HOSTILE}"
    with meanwhile(
        lambda: stand.cli("deploy", site.path, "--to", "production", "--message", message)
    ) as ended:
        page.locator("#project-docs .way a").click()
        page.locator("#head[data-under-way=no]").wait_for()
    (done,) = ended
    assert done.code == 0, done
    assert page.url.endswith(f"/deployments/{done.document['id']}")
    assert page.locator("#head .badge").inner_text() == "succeeded"
    assert page.locator(".phase[data-tone=good]").count() == 7
    assert page.get_by_text(message).is_visible()
    assert page.get_by_text("by admin").is_visible()
    page.goto("/")
    card = page.locator("[id='env-docs.production']")
    assert done.document["release"][:12] in card.inner_text()
    assert "healthy" in card.inner_text()
    page.locator(f"a[href='/deployments/{done.document['id']}']").first.click()
    page.wait_for_url(f"**/deployments/{done.document['id']}")


def test_a_deployment_is_aborted_half_way(stand: Stand, page: Any, tmp_path: Path) -> None:
    app = projects.app(tmp_path, "acted", rollout_verify='"40s"')
    app.code.write_text(app.code.read_text().replace("listens on", f"{HOSTILE} listens on"))
    with meanwhile(lambda: stand.cli("deploy", app.path, "--to", "production")) as ended:
        page.locator("#project-acted .way a").click()
        page.locator("#progress .step[data-tone=busy]", has_text="verify").wait_for()
        page.locator("#log").get_by_text(f"{HOSTILE} listens on").wait_for()
        assert page.evaluate(CONTRASTS) == []
        page.locator("#act-abort > summary").click()
        page.locator("#reason-abort").fill("changed my mind")
        page.locator("#act-abort form button").click()
        page.locator("#head[data-under-way=no]").wait_for()
        assert page.locator("#head .badge").inner_text() == "aborted"
        page.get_by_text("changed my mind").first.wait_for()
    assert ended[0].code == 5, ended[0]
    assert page.locator("#act-rollback button").get_attribute("aria-disabled") == "true"


def test_a_release_goes_back_by_the_page(stand: Stand, page: Any, tmp_path: Path) -> None:
    site = projects.site(tmp_path, "returns")
    first = stand.cli("deploy", site.path, "--to", "production")
    site.change()
    second = stand.cli("deploy", site.path, "--to", "production")
    assert (first.code, second.code) == (0, 0), (first, second)
    page.goto(f"/deployments/{first.document['id']}")
    assert page.locator("#why-rollback").text_content() == "Its release is no longer live."
    page.goto(f"/deployments/{second.document['id']}")
    page.locator("#act-rollback > summary").click()
    assert first.document["release"][:12] in page.locator("#act-rollback form").inner_text()
    page.locator("#reason-rollback").fill("the old one was nicer")
    page.locator("#act-rollback form button").click()
    page.wait_for_url(re.compile(r"/deployments/rol-\w+"))
    page.locator("#head[data-under-way=no]").wait_for()
    assert page.locator("#head .badge").inner_text() == "succeeded"
    assert page.locator(".phase").count() == 4
    status = json.dumps(stand.cli("status", "production", "--project", "returns").document)
    assert first.document["release"] in status
