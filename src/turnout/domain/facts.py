"""What a plan is made from: the state of a scope and of its hosts at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HostState:
    """One host as it was seen.

    Attributes:
        name: The host's name.
        releases: Releases that are unpacked there.
        instances: Revision of this scope to the indexes of its running instances.
        sites: Revisions of this scope with a static root.
        weights: Revision to weight, as the router of the host was last told; empty if never.
    """

    name: str
    releases: frozenset[str] = frozenset()
    instances: Mapping[str, frozenset[int]] = field(default_factory=dict)
    sites: frozenset[str] = frozenset()
    weights: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Revision:
    """A release together with the configuration that it runs with.

    Attributes:
        revision: 16 hexadecimal digits.
        release: 64 hexadecimal digits.
        static: Whether it is a static site.
        instances: How many instances run on each host; 0 for a static site.
        exclusive: Whether it cannot run beside another revision.
    """

    revision: str
    release: str
    static: bool
    instances: int
    exclusive: bool = False


@dataclass(frozen=True)
class ScopeState:
    """One environment of one project as it was seen.

    Attributes:
        scope: ``project/environment``.
        hosts: Its hosts, in the order in which they are served.
        live: What is live, if anything.
        earlier: Releases that were live before, newest first, the live one not among them.
        domains: The host names that lead to it now.
        bridged: Releases whose hashed assets its hosts keep reachable now, newest first.
        requests_per_minute: Live requests a minute over all hosts of late; None if not known.
        successes: Deployments that succeeded here so far.
    """

    scope: str
    hosts: tuple[HostState, ...]
    live: Revision | None = None
    earlier: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    bridged: tuple[str, ...] = ()
    requests_per_minute: float | None = None
    successes: int = 0
