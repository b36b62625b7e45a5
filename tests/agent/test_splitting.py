"""Clients told apart, copies and limits: from the wire to the router, and told as facts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.agent.rooms import RELEASE, SCOPE, SITE, House, wanted
from turnout.base.errors import InvalidInput
from turnout.routers import port
from turnout.wire import agent as wire
from turnout.wire import rollout
from turnout.wire.project import Component, RunSpec

pytestmark = pytest.mark.anyio
NEW = Component(run=RunSpec(command=(sys.executable,), max_connections=64, max_requests=9))
OLD = Component(run=RunSpec(command=(sys.executable, "old")))
STRANGER = "f" * 16


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    await found.router.start()
    return found


def routes(house: House) -> wire.RoutesWanted:
    """Return a routing of the new app, which has 20 percent, and of the old one."""
    new, old = house.record(NEW, 20001), house.record(OLD, 20002)
    both = (
        wire.RevisionRoute(revision=new, release=RELEASE, component=NEW),
        wire.RevisionRoute(revision=old, release=RELEASE, component=OLD),
    )
    found = wanted(NEW).model_copy(update={"weights": {new: 20, old: 80}, "revisions": both})
    testers = (rollout.Tester(header="X-Beta"), rollout.Tester(cookie="beta", value="1"))
    return found.model_copy(
        update={
            "split": wire.Split(candidate=new, baseline=old, sticky=True, testers=testers),
            "mirror": wire.Mirror(revision=new, percent=30),
        }
    )


async def test_split_and_mirror_reach_the_router_and_are_told(house: House) -> None:
    wanted_routes = routes(house)
    await house.routing.route(wanted_routes)
    new, old = (route.revision for route in wanted_routes.revisions)
    (site,) = house.router.host.sites
    assert site.split == port.Split(
        candidate=new,
        baseline=old,
        sticky=True,
        testers=(port.Tester(header="X-Beta"), port.Tester(cookie="beta", value="1")),
    )
    assert site.mirror == port.Mirror(new, 30)
    house.restarted()
    (fact,) = house.routing.facts()
    assert (fact.split, fact.mirror) == (wanted_routes.split, wanted_routes.mirror)
    await house.routing.route(wanted_routes.model_copy(update={"split": None, "mirror": None}))
    (site,) = house.router.host.sites
    assert (site.split, site.mirror) == (None, None)
    (fact,) = house.routing.facts()
    assert (fact.split, fact.mirror) == (None, None)


async def test_limits_of_an_app_reach_the_router(house: House) -> None:
    await house.routing.route(routes(house))
    (site,) = house.router.host.sites
    assert [backend.limits for backend in site.backends] == [
        port.Limits(connections=64, requests=9),
        port.Limits(),
    ]


async def test_a_site_has_no_limits(house: House) -> None:
    house.root(SITE)
    await house.routing.route(wanted(SITE))
    (site,) = house.router.host.sites
    assert site.backends[0].limits == port.Limits()


@pytest.mark.parametrize("role", ["candidate", "baseline", "mirror"])
async def test_who_is_split_or_copied_to_is_among_the_revisions(house: House, role: str) -> None:
    good = routes(house)
    assert good.split
    if role == "mirror":
        change: dict[str, object] = {"mirror": wire.Mirror(revision=STRANGER, percent=1)}
    else:
        change = {"split": good.split.model_copy(update={role: STRANGER})}
    with pytest.raises(InvalidInput, match=role) as caught:
        await house.routing.route(good.model_copy(update=change))
    assert caught.value.subject == f"{SCOPE}/{STRANGER}"
    assert house.routing.facts() == ()
