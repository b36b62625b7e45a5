"""Real Envoy: the split is as asked, clients keep their release, and testers reach theirs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, backend, site
from tests.routers.upstream import Answer, Client, Upstream, ask_once
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Site, Split
from turnout.routers.port import Tester as Mark

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]
BASE = "c" * 16
BASE_RELEASE = BASE * 4
COOKIE = re.compile(r"turnout=([0-9a-f]{8})\.(\d+); Path=/; HttpOnly; SameSite=Lax")
CLIENTS = 1500


def split(apps: Apps, new: int, base: int = 0, **more: object) -> Site:
    """Return a site with a candidate, a baseline and the stable release."""
    weights = {OLD: 100 - new - base, NEW: new, BASE: base}
    values = {"candidate": NEW, "baseline": BASE, "sticky": True, **more}
    return site(
        backend(OLD, apps[0].address),
        backend(BASE, apps[0].address),
        backend(NEW, apps[1].address),
        weights={revision: weight for revision, weight in weights.items() if weight},
        split=Split(**values),  # type: ignore[arg-type]
    )


def chi_square(counts: Sequence[int], shares: Sequence[float]) -> float:
    total = sum(counts)
    return sum(
        (count - total * share) ** 2 / (total * share)
        for count, share in zip(counts, shares, strict=True)
    )


def limit(freedom: int) -> float:
    """Return what chi square exceeds once in 10**7 times (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    cubed: float = freedom * (1 - part + 5.2 * part**0.5) ** 3
    return cubed


async def newcomers(port: int, count: int) -> list[Answer]:
    client = Client(port)
    answers = [await client.get() for _ in range(count)]
    await client.close()
    return answers


def release(answer: Answer) -> str:
    return answer.headers["x-turnout-release"]


def slot(answer: Answer) -> int:
    [cookie] = answer.cookies
    found = COOKIE.fullmatch(cookie)
    assert found is not None
    assert found[1] == NEW[:8]
    return int(found[2])


@pytest.mark.parametrize(("new", "base"), [(1, 0), (10, 10), (33, 25), (75, 0), (100, 0)])
async def test_newcomers_get_each_slot_alike_and_the_release_that_owns_it(
    router: EnvoyRouter, port: int, apps: Apps, new: int, base: int
) -> None:
    await router.apply([split(apps, new, base)])
    answers = await newcomers(port, CLIENTS)
    slots = Counter(slot(answer) for answer in answers)
    assert set(slots) <= set(range(100))
    assert chi_square([slots[n] for n in range(100)], [0.01] * 100) < limit(99)
    for answer in answers:
        at = slot(answer)
        owner = NEW_RELEASE if at < new else BASE_RELEASE if at >= 100 - base else OLD_RELEASE
        assert release(answer) == owner


@pytest.mark.parametrize("new", [5, 50])
async def test_without_cookies_each_request_is_drawn_by_weight(
    router: EnvoyRouter, port: int, apps: Apps, new: int
) -> None:
    await router.apply([split(apps, new, 20, sticky=False)])
    answers = await newcomers(port, CLIENTS)
    assert not [answer for answer in answers if answer.cookies]
    seen = Counter(release(answer) for answer in answers)
    counts = [seen[name] for name in (NEW_RELEASE, BASE_RELEASE, OLD_RELEASE)]
    assert chi_square(counts, [new / 100, 0.2, 0.8 - new / 100]) < limit(2)


async def test_raising_moves_nobody_back_and_nothing_moves_everybody(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([split(apps, 10, 10)])
    jars = {slot(answer): answer for answer in await newcomers(port, 400)}
    assert len(jars) > 80
    client = Client(port)
    before: set[int] = set()
    for new, base in ((10, 10), (25, 25), (50, 50), (75, 25), (100, 0)):
        await router.apply([split(apps, new, base)])
        moved = set()
        for at in jars:
            jar = {"cookie": f"session=x; turnout={NEW[:8]}.{at}; theme=dark"}
            answer = await client.get("/", jar)
            assert answer.cookies == []
            assert (release(answer) == NEW_RELEASE) == (at < new)
            if release(answer) == NEW_RELEASE:
                moved.add(at)
        assert before <= moved
        before = moved
    await router.apply([split(apps, 0)])
    for at in jars:
        answer = await client.get("/", {"cookie": f"turnout={NEW[:8]}.{at}"})
        assert (release(answer), answer.cookies) == (OLD_RELEASE, [])
    await client.close()


@pytest.mark.parametrize(
    "cookie", ["turnout=cccccccc.3", f"turnout={NEW[:8]}.100", f"turnout={NEW[:8]}.3x", "turnout="]
)
async def test_any_other_cookie_counts_for_nothing(
    router: EnvoyRouter, port: int, apps: Apps, cookie: str
) -> None:
    await router.apply([split(apps, 100)])
    answer = await ask_once(port, "shop.test", headers={"cookie": cookie})
    assert slot(answer) in range(100)


async def test_cookies_of_the_app_stay(router: EnvoyRouter, port: int, apps: Apps) -> None:
    apps[1].extra_headers = {"Set-Cookie": "session=1"}
    await router.apply([split(apps, 100)])
    answer = await ask_once(port, "shop.test")
    assert len(answer.cookies) == 2
    assert "session=1" in answer.cookies


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("new", [0, 1])
async def test_testers_reach_the_candidate_and_get_no_slot(
    router: EnvoyRouter, port: int, apps: Apps, new: int, sticky: bool
) -> None:
    testers = (
        Mark(header="x-beta"),
        Mark(header="x-team", value="qa"),
        Mark(cookie="beta", value="yes"),
    )
    wanted = split(apps, new, sticky=sticky, testers=testers)
    await router.apply([wanted])
    for headers in ({"x-beta": ""}, {"x-team": "qa"}, {"cookie": "a=b; beta=yes"}):
        for _ in range(5):
            answer = await ask_once(port, "shop.test", headers=headers)
            assert (release(answer), answer.cookies) == (NEW_RELEASE, [])
    for headers in ({"x-team": "qaa"}, {"cookie": "beta=yesterday"}, {"cookie": "abeta=yes"}):
        answers = [await ask_once(port, "shop.test", headers=headers) for _ in range(4)]
        assert OLD_RELEASE in {release(answer) for answer in answers}
    gone = site(backend(OLD, apps[0].address), split=wanted.split)
    await router.apply([gone])
    assert release(await ask_once(port, "shop.test", headers={"x-beta": "1"})) == OLD_RELEASE
