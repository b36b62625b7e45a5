"""The hosts as the coordinator calls them: by name, with a deadline and a circuit breaker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from turnout.base import clock
from turnout.base.errors import Failed, NotFound, TurnoutError, Unreachable
from turnout.coordinator.standing import ScopeRecord
from turnout.domain.breaker import Breaker
from turnout.domain.facts import HostState, ScopeState
from turnout.targets.port import Host
from turnout.wire.agent import HostFacts

log = structlog.get_logger(__name__)
T = TypeVar("T")

AGENT, ROUTER, WATCH = "agent", "router", "watch"
"""The services of a host, each with a circuit of its own."""

DEADLINE_S = 60.0
"""For calls that name no deadline of their own."""


class Fleet:
    """Every host of this server.

    Args:
        hosts: The drivers, by the host's name.
        tell_breaker: Called with a host, a service and ``open`` or ``closed`` when that changes,
            in a thread of its own.
    """

    def __init__(
        self,
        hosts: Mapping[str, Host],
        tell_breaker: Callable[[str, str, str], None] = lambda _host, _service, _state: None,
    ) -> None:
        self._hosts = dict(hosts)
        self._breakers: defaultdict[tuple[str, str], Breaker] = defaultdict(Breaker)
        self._tell = tell_breaker
        self._telling: set[asyncio.Future[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all hosts, in the order in which they are served."""
        return tuple(self._hosts)

    async def call(
        self,
        name: str,
        work: Callable[[Host], Awaitable[T]],
        deadline: float = DEADLINE_S,
        service: str = AGENT,
    ) -> T:
        """Ask one service of a host, unless its circuit is open.

        A sick router opens its own circuit and leaves that of the agent alone.

        Args:
            name: The host.
            work: What is asked of its driver.
            deadline: Seconds after which the call is given up.
            service: :data:`AGENT`, or :data:`ROUTER` for what its router has to do.

        Raises:
            NotFound: No host has that name.
            Unreachable: It does not answer, or failed so often that it is left alone for now.
        """
        if name not in self._hosts:
            raise NotFound(
                "There is no such host",
                subject=name,
                why=f"this server has {', '.join(self._hosts) or 'none'}",
                next_step="Correct 'hosts' in turnout.toml.",
            )
        rest = self._breakers[name, service].closed_in(clock.monotonic())
        if rest > 0:
            raise Unreachable(
                f"The {service} of the host is left alone for a moment",
                subject=name,
                why="it failed several times in a row",
                next_step=f"It is asked again in {rest:.1f} s; 'turnout doctor' looks at it.",
                facts={"retry_after_s": round(rest, 3)},
            )
        try:
            async with asyncio.timeout(deadline):
                answer = await work(self._hosts[name])
        except TimeoutError:
            self._note(name, service, well=False)
            raise Unreachable(
                "The host did not answer in time",
                subject=name,
                why=f"nothing came for {deadline:g} s",
                next_step="Look at the host with 'turnout doctor'.",
            ) from None
        except Unreachable:
            self._note(name, service, well=False)
            raise
        except TurnoutError as error:
            # The agent answered, if only that it would not; its router may have failed even so.
            self._note(name, service, well=service == AGENT or not isinstance(error, Failed))
            raise
        self._note(name, service, well=True)
        return answer

    async def state(self, record: ScopeRecord, names: Sequence[str] = ()) -> ScopeState:
        """Return what a plan for *record* is made from.

        Args:
            record: The scope as the database has it.
            names: Hosts by name; empty means all.

        Raises:
            Failed: There is no host at all.
            NotFound: A host is not there.
            Unreachable: One does not answer.
        """
        chosen = tuple(names) or self.names
        if not chosen:
            raise Failed(
                "The environment has no host",
                subject=record.scope,
                next_step="Start 'turnout up', which is the first host.",
                facts={"final": True},
            )
        facts = await asyncio.gather(
            *(self.call(name, lambda host: host.facts()) for name in chosen)
        )
        return ScopeState(
            scope=record.scope,
            hosts=tuple(host_state(record.scope, one) for one in facts),
            live=record.live.revision if record.live else None,
            earlier=record.earlier,
            domains=record.live.intent.domains if record.live else (),
            bridged=record.bridged,
        )

    def _note(self, name: str, service: str, *, well: bool) -> None:
        before = self._breakers[name, service]
        after = before.succeeded() if well else before.failed(clock.monotonic())
        self._breakers[name, service] = after
        if (before.opened_at is None) != (after.opened_at is None):
            state = "closed" if after.opened_at is None else "open"
            telling = asyncio.ensure_future(asyncio.to_thread(self._tell, name, service, state))
            self._telling.add(telling)
            telling.add_done_callback(self._told)

    def _told(self, telling: asyncio.Future[None]) -> None:
        self._telling.discard(telling)
        if not telling.cancelled() and (error := telling.exception()):
            log.error("breaker.not_told", why=str(error))


def host_state(scope: str, facts: HostFacts) -> HostState:
    """Return what *facts* say of one scope."""
    running: dict[str, set[int]] = {}
    for instance in facts.instances:
        if instance.scope == scope and instance.state in ("starting", "running"):
            running.setdefault(instance.revision, set()).add(instance.index)
    weights: dict[str, int] = {}
    for route in facts.routes:
        if route.scope == scope:
            weights = dict(route.weights)
    return HostState(
        name=facts.host,
        releases=frozenset(facts.releases),
        instances={revision: frozenset(indexes) for revision, indexes in running.items()},
        sites=frozenset(site.revision for site in facts.sites if site.scope == scope),
        weights=weights,
    )
