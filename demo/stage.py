"""The stage: runs the acts under load and judges how each of them ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from demo.acts import Act
from demo.cli import Outcome, Turnout
from load import Answer, Load, Report, Target

SETTLE_S = 0.7
"""Load after each act, in which every answer has to come from the release that is live."""

ANY_ANSWER = frozenset(range(200, 500))
"""What a page that we know nothing of may answer."""


@dataclass(frozen=True)
class Played:
    """One act as it went.

    Attributes:
        faults: What went otherwise than it should; empty if nothing did.
        load: The requests that were under way during the command.
    """

    act: Act
    outcome: Outcome
    load: Report
    faults: list[str]


@dataclass
class Stage:
    """Where the acts are played.

    Attributes:
        turnout: The server and its command line.
        load: The load, under way.
        http: Address and port of the sites.
    """

    turnout: Turnout
    load: Load
    http: tuple[str, int]
    _releases: dict[tuple[str, str], str] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    async def play(self, acts: list[Act]) -> list[Played]:
        """Play acts at the same time and return how they went, after the load has settled."""
        outcomes = await asyncio.gather(*(self._command(act) for act in acts))
        settled = time.monotonic()
        for act, outcome in zip(acts, outcomes, strict=True):
            self._ask(act, outcome)
        await asyncio.sleep(SETTLE_S)
        report = self.load.report()
        after = report.between(settled, time.monotonic())
        return [
            Played(
                act,
                outcome,
                report.of(target=act.project.name).overlapping(
                    outcome.began, outcome.began + outcome.seconds
                ),
                [*_wrong_end(act, outcome), *self._wrong_release(act, after)],
            )
            for act, outcome in zip(acts, outcomes, strict=True)
        ]

    async def _command(self, act: Act) -> Outcome:
        outcome = await self.turnout.run(*act.argv)
        if act.version:
            self._releases[act.project.name, act.version] = outcome.release
        return outcome

    def _ask(self, act: Act, outcome: Outcome) -> None:
        """Put load on a project once it is live for the first time."""
        project = act.project
        if project.name in self._asked or outcome.exit_code != 0:
            return
        self._asked.add(project.name)
        host = urlsplit(str(outcome.document.get("url", ""))).netloc
        statuses = frozenset({200}) if project.wanted else ANY_ANSWER
        check = _holds(project.wanted)
        if project.faulty:
            statuses, check = frozenset({200, 500}), _sound(check, outcome.release)
        target = Target(
            *self.http,
            host=host,
            name=project.name,
            upload_path=project.upload_path,
            stream_path=project.stream_path,
            statuses=statuses,
            check=check,
        )
        for _ in range(project.share):
            self.load.add(target)
        if project.asset and act.version == "v1":
            # A tab that was opened with v1 asks for v1's assets as long as it is open.
            self.load.add(
                Target(
                    *self.http,
                    project.asset,
                    host=host,
                    name=project.name,
                    check=_is(project.asset_bytes),
                )
            )

    def _wrong_release(self, act: Act, after: Report) -> list[str]:
        """Compare who answered after the act with who should have."""
        wanted = self._releases.get((act.project.name, act.live), "")
        answered = after.of(target=act.project.name).by_release
        if not wanted or set(answered) == {wanted}:
            return []
        seen = ", ".join(f"{release[:12]} ({count})" for release, count in answered.items())
        return [f"{act.live} ({wanted[:12]}) should serve now, answers came from: {seen or '-'}"]


def _wrong_end(act: Act, outcome: Outcome) -> list[str]:
    if (outcome.exit_code, outcome.status) == (act.exit_code, act.status):
        return []
    return [
        (
            f"it should end as {act.status} (exit {act.exit_code}), "
            f"it ended as {outcome.status or 'no deployment'} (exit {outcome.exit_code}): "
            f"{outcome.reason or 'no reason given'}"
        )
    ]


def _holds(wanted: bytes) -> Callable[[Answer], str]:
    return lambda answer: "" if wanted in answer.body else "not the page that was asked for"


def _sound(check: Callable[[Answer], str], stable: str) -> Callable[[Answer], str]:
    """Return *check* for answers of the release *stable*; errors of another one are its own."""

    def found(answer: Answer) -> str:
        if answer.headers.get("x-turnout-release") == stable and answer.status != 200:
            return f"status {answer.status} from the stable release"
        return check(answer) if answer.status == 200 else ""

    return found


def _is(wanted: bytes) -> Callable[[Answer], str]:
    return lambda answer: "" if answer.body == wanted else "not the asset that was asked for"
