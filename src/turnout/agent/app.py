"""The agent's HTTP face: the wire protocol, whatever carries it.

A unix socket carries it today and mutual TLS may tomorrow; all that differs is the
``authenticate`` that is passed in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from turnout.agent import doors
from turnout.agent.host import Agent
from turnout.agent.paths import checked
from turnout.base.errors import Aborted, InvalidInput, NotFound, TurnoutError
from turnout.wire import agent as wire

Authenticate = Callable[[Request], Awaitable[None]]
"""Raises :class:`~turnout.base.errors.Refused` for a peer that may not speak to this agent."""

Wanted = TypeVar("Wanted", bound=BaseModel)
Handler = Callable[[Request], Awaitable[BaseModel | None]]

_log = structlog.get_logger()
_ROOT = f"/wire/v{wire.VERSION}"
# Asked often and changing nothing; they would drown the rest of the log.
_QUIET = {"hello", "facts", "traffic", "statistics", "logs"}


@dataclass(frozen=True)
class Closing:
    """Whether the agent is about to end: calls that only wait are then given up.

    Attributes:
        wait: Returns when it is.
    """

    wait: Callable[[], Awaitable[object]]


def build_app(agent: Agent, authenticate: Authenticate, closing: Closing) -> Starlette:
    """Return the application that serves *agent* to peers that pass *authenticate*."""
    face = _Face(agent, closing)
    routes = [
        _route("/wire/hello", "GET", "hello", face.hello, authenticate),
        _route(f"{_ROOT}/facts", "GET", "facts", face.facts, authenticate),
        _route(f"{_ROOT}/statistics", "GET", "statistics", face.statistics, authenticate),
        _route(f"{_ROOT}/router/restart", "POST", "restart", face.restart, authenticate),
        _route(f"{_ROOT}/stage", "POST", "stage", face.stage, authenticate),
        _route(f"{_ROOT}/halt", "POST", "halt", face.halt, authenticate),
        _route(_scoped("lacking"), "POST", "lacking", face.lacking, authenticate),
        _route(_scoped("traffic"), "GET", "traffic", face.traffic, authenticate),
        _route(_scoped("routes"), "DELETE", "unroute", face.unroute, authenticate),
        *(
            _route(f"{_ROOT}/{name}", "POST", name, handler, authenticate)
            for name, handler in face.messages().items()
        ),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_path})


class _Face:
    """Turns requests into calls of the agent."""

    def __init__(self, agent: Agent, closing: Closing) -> None:
        self._agent = agent
        self._closing = closing

    def messages(self) -> dict[str, Handler]:
        """Return the handlers of every request that is one message, by name."""
        agent = self._agent
        return {
            "site": _does(wire.SiteWanted, agent.ensure_site),
            "bridge": _does(wire.BridgeWanted, agent.bridge),
            "instance": _does(wire.InstanceWanted, agent.ensure_instance),
            "remove": _does(wire.InstanceGone, agent.remove_instances),
            "access-log": _does(wire.AccessLogWanted, agent.access_log),
            "route": _does(wire.RoutesWanted, agent.route),
            "prune": _does(wire.PruneWanted, agent.prune),
            "ready": self._waits(wire.ReadyWanted, agent.await_ready),
            "probe": self._waits(wire.ProbeWanted, agent.probe),
            "drain": self._waits(wire.DrainWanted, agent.drain),
            "command": self._waits(wire.CommandWanted, agent.run_command),
            "logs": self._waits(wire.LogsWanted, agent.logs),
        }

    async def hello(self, _request: Request) -> BaseModel:
        return self._agent.hello()

    async def facts(self, _request: Request) -> BaseModel:
        return await self._agent.facts()

    async def statistics(self, _request: Request) -> BaseModel:
        return await self._agent.statistics()

    async def restart(self, _request: Request) -> BaseModel:
        return await self._agent.restart_router()

    async def halt(self, _request: Request) -> None:
        await self._agent.halt()

    async def stage(self, request: Request) -> BaseModel:
        return await self._agent.stage(request.stream())

    async def lacking(self, request: Request) -> BaseModel:
        _scope_of(request)
        return await self._agent.lacking(await doors.body(request, doors.MANIFEST_LIMIT))

    async def traffic(self, request: Request) -> BaseModel:
        return await self._agent.traffic(_scope_of(request))

    async def unroute(self, request: Request) -> None:
        await self._agent.unroute(_scope_of(request))

    def _waits(
        self, model: type[Wanted], call: Callable[[Wanted], Awaitable[BaseModel]]
    ) -> Handler:
        """Return a handler that gives up when the peer hangs up or the agent ends."""

        async def handle(request: Request) -> BaseModel:
            wanted = await doors.message(request, model)
            return await doors.while_listening(request, call(wanted), self._closing.wait)

        return handle


def _does(model: type[Wanted], call: Callable[[Wanted], Awaitable[BaseModel | None]]) -> Handler:
    async def handle(request: Request) -> BaseModel | None:
        return await call(await doors.message(request, model))

    return handle


def _route(
    path: str, method: str, name: str, handler: Handler, authenticate: Authenticate
) -> Route:
    async def endpoint(request: Request) -> Response:
        begun = time.perf_counter()
        try:
            await authenticate(request)
            result = await handler(request)
            response = _answer(result)
            problem = ""
        except TurnoutError as error:
            response, problem = _refusal(error), str(error)
        except ClientDisconnect:
            response, problem = _refusal(Aborted("The peer went away")), "the peer went away"
        except Exception:
            _log.exception("wire.bug", operation=name)
            problem = "unexpected"
            response = _refusal(
                TurnoutError(
                    "The agent met an error that it does not know",
                    subject=name,
                    next_step="See agent.log on the host.",
                )
            )
        if name not in _QUIET or problem:
            _log.info(
                "wire.answered",
                operation=name,
                status=response.status_code,
                problem=problem,
                took_ms=round((time.perf_counter() - begun) * 1000, 1),
            )
        return response

    return Route(path, endpoint, methods=[method], name=name)


def _answer(result: BaseModel | None) -> Response:
    if result is None:
        return Response(status_code=204)
    return Response(result.model_dump_json(), media_type="application/json")


def _refusal(error: TurnoutError) -> JSONResponse:
    return JSONResponse(error.to_document(), status_code=error.status)


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _refusal(
            NotFound(
                "The agent knows no such request",
                subject=request.url.path[:200],
                next_step="Ask /wire/hello for the versions it speaks.",
            )
        )
    document = InvalidInput("The agent takes no such request here", subject=request.url.path[:200])
    return JSONResponse(document.to_document(), status_code=status)


def _scoped(name: str) -> str:
    return f"{_ROOT}/{name}/{{project}}/{{environment}}"


def _scope_of(request: Request) -> str:
    return checked(f"{request.path_params['project']}/{request.path_params['environment']}")
