"""The deployment pages: one deployment as it goes, its evidence, its log, and acting on it."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from turnout.base import clock
from turnout.base.errors import Conflict, InvalidInput, NotFound, TurnoutError
from turnout.domain.transitions import ENDED, Status
from turnout.monitoring.events import EventLog
from turnout.security.tokens import Account
from turnout.web import deployment as views
from turnout.web import evidence as evidence_views
from turnout.web import sessions
from turnout.web.actions import VERBS, actions
from turnout.web.evidence import EvidenceView
from turnout.web.ports import Coordinator, Evidenced, Verb
from turnout.web.shell import Notice, Shell
from turnout.wire.api import (
    ActRequest,
    DeploymentDetail,
    DeploymentDocument,
    EnvironmentDocument,
    LogEntry,
    RollbackRequest,
)

_log = structlog.get_logger(__name__)

DEPLOYMENT = r"[a-z0-9][a-z0-9-]{0,39}"
"""What identifies a deployment, as everywhere else at the doors."""

_POINTS = 240
_LINES = 200
_PATIENCE_S = 3.0
"""Seconds that a page waits for a host before it shows what it has without it."""
_SAID = {
    "pause": "Asked to pause. What is done stays as it is.",
    "resume": "Asked to go on.",
    "promote": "Asked to promote now.",
    "approve": "Approved.",
    "reject": "Rejected.",
    "abort": "Asked to abort. What it did is being taken back.",
    "retry": "Asked to try again.",
    "begun": "Begun.",
}


class DeploymentPages:
    """The pages of single deployments.

    Args:
        shell: Renders.
        coordinator: Answers and acts.
        events: When to look again.
    """

    def __init__(self, shell: Shell, coordinator: Coordinator, events: EventLog) -> None:
        self._shell = shell
        self._coordinator = coordinator
        self._events = events

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        guarded = self._shell.guarded
        return [
            Route("/deployments/{id}", guarded(self.page, is_page=True)),
            Route("/deployments/{id}/{verb}", guarded(self.act), methods=["POST"]),
            Route("/fragments/deployments/{id}", guarded(self.fragment)),
            Route("/fragments/deployments/{id}/evidence", guarded(self.evidence)),
            Route("/fragments/deployments/{id}/logs", guarded(self.logs)),
        ]

    async def page(self, request: Request, _account: Account) -> Response:
        """Show a deployment."""
        said = _SAID.get(request.query_params.get("did", ""))
        notice = Notice("good", said) if said else None
        return await self._page(request, request.path_params["id"], notice=notice)

    async def fragment(self, request: Request, _account: Account) -> Response:
        """Show again what changes with a deployment's events."""
        detail = await self._coordinator.show(request.path_params["id"])
        view = views.view(detail, await self._environment(detail), clock.now())
        return self._shell.fragment("fragments/deployment.html", d=view, e=None)

    async def evidence(self, request: Request, _account: Account) -> Response:
        """Show a deployment's evidence again."""
        found = await self._evidence(request.path_params["id"])
        return self._shell.fragment("fragments/evidence.html", e=found)

    async def logs(self, request: Request, _account: Account) -> Response:
        """Show the last log lines of a deployment's instances again."""
        return self._shell.fragment(
            "fragments/logs.html", **await self._logs(request.path_params["id"])
        )

    async def act(self, request: Request, account: Account) -> Response:
        """Do what a form asks for, and show the page with what came of it."""
        sessions.require_own_origin(request)
        name, verb = request.path_params["id"], request.path_params["verb"]
        fields = await sessions.form_fields(request)
        try:
            answer = await self._do(name, verb, fields, account.name)
        except NotFound:
            raise
        except TurnoutError as error:
            notice = Notice("bad", error.what, " ".join(filter(None, (error.why, error.next_step))))
            return await self._page(request, name, error.status, notice=notice)
        said = verb if answer.id == name else "begun"
        return RedirectResponse(f"/deployments/{answer.id}?did={said}", status_code=303)

    async def _do(
        self, name: str, verb: str, fields: dict[str, str], by: str
    ) -> DeploymentDocument:
        detail = await self._coordinator.show(name)
        reason = _reason(fields)
        if verb == "rollback":
            return await self._roll_back(detail, reason, fields.get("to", ""), by)
        for known in VERBS:
            if known == verb:
                _demand_same_plan(known, detail, fields.get("digest", ""))
                return await self._coordinator.act(name, known, reason, by)
        raise NotFound("There is no such action", subject=verb[:40])

    async def _roll_back(
        self, detail: DeploymentDetail, reason: str, to: str, by: str
    ) -> DeploymentDocument:
        environment = await self._environment(detail)
        possible = next(one for one in actions(detail, environment) if one.verb == "rollback")
        if possible.why_not:
            raise Conflict("It cannot be rolled back", subject=detail.id, why=possible.why_not)
        if dict(possible.fields).get("to") != to:
            raise Conflict(
                "The environment has changed since the page was shown",
                subject=detail.environment,
                next_step="Look at it again, then decide.",
            )
        request = RollbackRequest(
            project=detail.project, environment=detail.environment, to=to, reason=reason
        )
        return await self._coordinator.rollback(request, by)

    async def _page(
        self, request: Request, name: str, status: int = 200, *, notice: Notice | None = None
    ) -> Response:
        # Taken before the page is read, so that the stream misses nothing after it.
        seq = await asyncio.to_thread(self._events.last_seq)
        detail = await self._coordinator.show(name)
        environment, found, logs = await asyncio.gather(
            self._environment(detail), self._evidence(name), self._logs(name)
        )
        view = views.view(detail, environment, clock.now())
        return self._shell.page(
            request, "deployment.html", status, notice=notice, seq=seq, d=view, e=found, **logs
        )

    async def _environment(self, detail: DeploymentDetail) -> EnvironmentDocument | None:
        if Status(detail.status) not in ENDED:
            # Asks the hosts, and only an end decides whether there is something to go back to.
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._coordinator.environment(detail.project, detail.environment)
        except (TurnoutError, TimeoutError):
            return None

    async def _evidence(self, name: str) -> EvidenceView | None:
        if not isinstance(self._coordinator, Evidenced):
            return None
        try:
            document = await self._coordinator.evidence(name, _POINTS)
            return evidence_views.view(document, clock.now())
        except TurnoutError:
            return None
        except Exception:
            # Whatever is wrong with the pictures, the way to abort stays on the page.
            _log.exception("web.evidence", deployment=name)
            return None

    async def _logs(self, name: str) -> dict[str, Any]:
        entries: Sequence[LogEntry] = ()
        trouble = ""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                entries = await self._coordinator.logs(name, tail=_LINES)
        except NotFound:
            raise
        except TurnoutError as error:
            trouble = str(error)
        except TimeoutError:
            trouble = "The host does not answer."
        return {"lines": views.log_lines(entries), "trouble": trouble}


def _reason(fields: dict[str, str]) -> str:
    try:
        # Forms send line ends as CR LF.
        return ActRequest(reason=fields.get("reason", "").replace("\r\n", "\n")).reason
    except ValidationError as error:
        raise InvalidInput(
            "The reason cannot be recorded",
            why="it has at most 2,000 characters, none of them NUL",
            next_step="Say it in fewer words.",
        ) from error


def _demand_same_plan(verb: Verb, detail: DeploymentDetail, digest: str) -> None:
    if verb not in ("approve", "reject") or not detail.plan_digest:
        return
    if not hmac.compare_digest(digest.encode(), detail.plan_digest.encode()):
        raise Conflict(
            "The plan is not the one that the page showed",
            subject=detail.id,
            next_step="Read the plan below, then decide.",
        )
