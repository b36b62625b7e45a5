"""What a wanted state must satisfy before a router sees it: pure checks, one error each."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from turnout.base.errors import InvalidInput
from turnout.base.ids import NAME, RELEASE, REVISION
from turnout.base.rundir import SOCKET_LIMIT
from turnout.routers.port import Backend, HeaderRule, Site, Tester

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,4096}")
# Headers that describe the connection or the body, or that are ours to set.
_PROTECTED_HEADERS = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-encoding", "content-length", "content-range", "date", "host"),
        *("x-turnout-release", "x-turnout-site", "x-turnout-spa"),
    }
)


def check(sites: Sequence[Site]) -> None:
    """Refuse a state that contradicts itself or that a router could not hold.

    Raises:
        InvalidInput: With the scope and what is wrong with it.
    """
    for site in sites:
        _check_site(site)
    _refuse_twice("scope", (site.scope for site in sites))
    _refuse_twice("default site", ("*" for site in sites if site.default))
    _refuse_twice("domain", (h for site in sites for h in (*site.domains, *preview_hosts(site))))


def preview_host(release: str, domain: str) -> str:
    """Return the host name under which *release* is reachable whatever the weights say."""
    return f"{release[:12]}--{domain}"


def preview_hosts(site: Site) -> dict[str, Backend]:
    """Return every preview host name of *site*; of revisions of one release the first wins."""
    found: dict[str, Backend] = {}
    for backend in site.backends:
        for domain in site.domains:
            found.setdefault(preview_host(backend.release, domain), backend)
    return found


def _check_site(site: Site) -> None:
    names = site.scope.split("/")
    named = len(names) == 2 and all(NAME.fullmatch(name) for name in names)
    _require(named, "a scope is project/environment", site.scope)
    for domain in site.domains:
        _require(_DOMAIN.fullmatch(domain), "not a host name in lower case", domain)
    for backend in site.backends:
        _check_backend(site.scope, backend)
    _refuse_twice("revision", (backend.revision for backend in site.backends))
    known = {backend.revision for backend in site.backends}
    for revision, weight in site.weights.items():
        _require(revision in known, "a weight without a backend", f"{site.scope}/{revision}")
        _require(0 <= weight <= 100, "a weight is between 0 and 100", f"{site.scope}/{revision}")
    total = sum(site.weights.values())
    _require(not site.weights or total == 100, f"weights sum to {total}, not to 100", site.scope)
    _check_split(site)
    if site.mirror is not None:
        subject = f"{site.scope}/{site.mirror.revision}"
        _require(site.mirror.revision in known, "a mirror without a backend", subject)
        _require(0 < site.mirror.percent <= 100, "a mirror gets 1 to 100 percent", subject)


def _check_split(site: Site) -> None:
    if site.split is None:
        return
    for revision in (site.split.candidate, site.split.baseline):
        valid = revision is None or REVISION.fullmatch(revision)
        _require(valid, "a revision is 16 hex digits", f"{site.scope}/{revision}")
    different = site.split.candidate != site.split.baseline
    _require(different, "the candidate is its own baseline", site.scope)
    for tester in site.split.testers:
        _check_tester(site.scope, tester)


def _check_tester(scope: str, tester: Tester) -> None:
    text = f"{scope} {tester}"
    one = (tester.header is None) != (tester.cookie is None)
    _require(one, "a tester is known by either a header or a cookie", text)
    name = tester.header or tester.cookie or ""
    _require(_HEADER_NAME.fullmatch(name), "not a name of a header or cookie", text)
    _require(tester.cookie is None or tester.value, "a tester's cookie needs a value", text)
    valid = tester.value is None or _HEADER_VALUE.fullmatch(tester.value)
    _require(valid, "not a value in plain ASCII", text)


def _check_backend(scope: str, backend: Backend) -> None:
    subject = f"{scope}/{backend.revision}"
    _require(REVISION.fullmatch(backend.revision), "a revision is 16 hex digits", subject)
    _require(RELEASE.fullmatch(backend.release), "a release is 64 hex digits", subject)
    _require(
        backend.site is None or backend.site == subject,
        "the static root of a backend is named after it",
        f"{subject} has {backend.site}",
    )
    for address in backend.addresses:
        _require(_is_address(address), "neither ip:port nor unix:/path", address)
    for limit in (backend.limits.connections, backend.limits.requests):
        _require(limit is None or 0 < limit < 2**31, "a limit is a number from 1 on", subject)
    for rule in backend.headers:
        _check_rule(subject, rule)


def _is_address(address: str) -> bool:
    if address.startswith("unix:/"):
        path = address.removeprefix("unix:")
        return len(path.encode()) <= SOCKET_LIMIT and "\0" not in path
    host, _, port = address.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return port.isascii() and port.isdecimal() and 0 < int(port) < 65536


def _check_rule(subject: str, rule: HeaderRule) -> None:
    text = f"{subject} {rule.pattern} {rule.name}"
    _require(
        rule.pattern.startswith(("/", "*")) and len(rule.pattern) <= 1024,
        "a header pattern is a path that starts with / or *",
        text,
    )
    _require(_HEADER_NAME.fullmatch(rule.name), "not a header name", text)
    _require(rule.name.lower() not in _PROTECTED_HEADERS, "this header is not yours to set", text)
    _require(_HEADER_VALUE.fullmatch(rule.value), "not a header value in plain ASCII", text)


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _refuse_twice(kind: str, values: Iterable[str]) -> None:
    repeated = _repeated(values)
    _require(not repeated, f"a {kind} is given twice", ", ".join(sorted(repeated)))


def _require(holds: object, why: str, subject: str) -> None:
    if not holds:
        raise InvalidInput(
            "The wanted state of the router contradicts itself",
            subject=subject,
            why=why,
            next_step="Correct the domains, weights or headers of this environment.",
        )
