"""The client of the HTTP API: every call is safe to repeat, and is repeated when it gets lost.

A GET changes nothing, a PUT says what must be so, and every POST carries an
``Idempotency-Key``, so a lost answer is asked for again; the server does the work once.
"""

from __future__ import annotations

import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from turnout.base.errors import Failed, TurnoutError, Unreachable, Untrusted
from turnout.cli import output
from turnout.cli.credentials import Login
from turnout.cli.lost import Lost, certificate_error, is_lost, lost_as_such
from turnout.cli.problems import error_of
from turnout.cli.starting import START_S, server_starts
from turnout.cli.transport import is_loopback, open_http

if TYPE_CHECKING:
    from turnout.cli.events import EventStream

FIRST_CONTACT_S = 1.0
"""How long a server that has not answered yet is asked; nobody waits for one that is not up."""

LOGIN_S = 2.0
"""How long the login of a server that has just begun to listen may take to be saved."""

RESTART_S = 60.0
"""How long a server that has answered before may be away, for a restart."""

MANIFEST_TYPE = "application/vnd.turnout.manifest"
SEGMENT_TYPE = "application/octet-stream"

JsonObject = dict[str, Any]
ModelT = TypeVar("ModelT", bound=BaseModel)
AnswerT = TypeVar("AnswerT")


class Client:
    """Speaks to one server.

    Args:
        login: Its address, and the token.
        on_wait: Told once when the server is away and once when it is back.
        saved_login: Finds the saved login again, for a server that starts meanwhile saves one;
            None if the user gave the token.
    """

    def __init__(
        self,
        login: Login,
        on_wait: Callable[[bool], None] | None = None,
        saved_login: Callable[[], Login] | None = None,
    ) -> None:
        self.login = login
        self.on_wait = on_wait
        self._saved_login = saved_login
        self._authorised = False
        self.answered = False
        self.first_contact = FIRST_CONTACT_S
        self.http = open_http(login)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str, **params: str | int | None) -> JsonObject:
        """Return the document at *path*; parameters that are None are left out.

        Raises:
            TurnoutError: The server refuses, or does not answer.
        """
        given = {key: str(value) for key, value in params.items() if value is not None}
        return self._document(self.call("GET", path, params=given))

    def post(
        self, path: str, body: BaseModel | None = None, *, patience: float | None = None
    ) -> JsonObject:
        """Send *body* to *path* and return the answer.

        Args:
            path: Where to.
            body: What; nothing if absent.
            patience: Seconds that the answer may take, if it may take longer than usual.

        Raises:
            TurnoutError: The server refuses, or does not answer.
        """
        content = b"" if body is None else body.model_dump_json().encode()
        return self.post_bytes(path, content, "application/json", patience)

    def put(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Make what is at *path* be as *body* says, and return the answer.

        Raises:
            TurnoutError: The server refuses, or does not answer.
        """
        content = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        return self._document(self.call("PUT", path, content=content, headers=headers))

    def post_bytes(
        self, path: str, content: bytes, content_type: str, patience: float | None = None
    ) -> JsonObject:
        """Send *content* as it is to *path* and return the answer.

        Raises:
            TurnoutError: The server refuses, or does not answer.
        """
        headers = {"idempotency-key": uuid.uuid4().hex, "content-type": content_type}
        answer = self.call("POST", path, content=content, headers=headers, patience=patience)
        return self._document(answer)

    def events(self, deployment: str | None = None, after: int | None = None) -> EventStream:
        """Return the stream of events after *after*, of one deployment or of all."""
        from turnout.cli.events import EventStream

        path = "/events" if deployment is None else f"/deployments/{deployment}/events"
        return EventStream(self, path, after)

    @property
    def patience(self) -> float:
        """Seconds for which a call is repeated while nobody answers."""
        return RESTART_S if self.answered else self.first_contact

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> httpx2.Response:
        """Send a request until there is an answer, and return it if it is a good one."""

        def once() -> httpx2.Response:
            # Built anew every time, for the login may be another one by now.
            request = self.http.build_request(
                method, path, params=params, content=content, headers=headers
            )
            if patience is not None:
                request.extensions["timeout"] = {**request.extensions["timeout"], "read": patience}
            return self._once(request)

        response = self.persist(once)
        # A server listens a moment before it saves its login.
        if response.status_code == 401 and self._look_again(LOGIN_S if self._is_ours() else 0.0):
            response = self.persist(once)
        if response.is_success:
            self._authorised = True
            return response
        raise self.error_in(response)

    def error_in(self, response: httpx2.Response) -> TurnoutError:
        """Return the error that a read *response* means."""
        try:
            document = response.json()
        except (ValueError, RecursionError):
            document = None
        error = error_of(response.status_code, document, response.text[:1000])
        if response.status_code == 401:
            error.next_step = (
                "Start the server with `turnout up` as this user, which saves a login, or give "
                f"a token for {self.login.address} with --token or TURNOUT_TOKEN."
            )
        return error

    def unreachable(self, error: Exception) -> TurnoutError:
        """Return the error for a server that did not answer."""
        refusal = certificate_error(error)
        if refusal is not None:
            return Untrusted(
                "The server is not the one that is trusted",
                subject=self.login.address,
                why=refusal,
                next_step="Compare with the fingerprint that the server prints at its start; "
                "give the right one with --fingerprint.",
            )
        return Unreachable(
            "The server does not answer",
            subject=self.login.address,
            why=str(error) or type(error).__name__,
            next_step="Start it with `turnout up`, or name another with --server.",
        )

    def persist(self, once: Callable[[], AnswerT]) -> AnswerT:
        """Return what *once* returns, called again while it raises :class:`Lost`.

        Raises:
            TurnoutError: Nobody answered for as long as we wait.
        """
        try:
            return once()
        except Lost as lost:
            if lost.hopeless or self.patience <= 0:
                raise self.unreachable(lost.error) from lost.error
        # Imported here: the first try nearly always works, and this costs 20 ms.
        import stamina
        from stamina.instrumentation import set_on_retry_hooks

        set_on_retry_hooks([])  # its default hook would log to standard output

        def again(patience: float) -> AnswerT:
            for attempt in stamina.retry_context(
                on=lambda error: isinstance(error, Lost) and not error.hopeless,
                attempts=None,
                timeout=patience,
                wait_initial=0.1,
                wait_max=1.0,
                wait_jitter=0.1,
            ):
                with attempt:
                    self._look_again()
                    return once()
            raise AssertionError("the last attempt returns or raises")

        self._away(True)
        try:
            return again(self.patience)
        except Lost as still:
            if still.hopeless or self.answered or not self._is_ours():
                raise self.unreachable(still.error) from still.error
        finally:
            self._away(False)
        output.err(f"the server at {self.login.address} is starting; waiting for it")
        try:
            return again(START_S)
        except Lost as lost:
            raise self.unreachable(lost.error) from lost.error

    def _is_ours(self) -> bool:
        """Return whether the server may be one of this user that starts on this machine."""
        return is_loopback(urlsplit(self.login.address).hostname or "") and server_starts()

    def _look_again(self, patience: float = 0.0) -> bool:
        """Take the login that was saved meanwhile; return whether there is a new one."""
        if self._saved_login is None or self._authorised:
            return False
        until = time.monotonic() + patience
        while True:
            login = self._saved_login()
            if login.token is not None and not _same_login(login, self.login):
                self.http.close()
                self.login, self.http = login, open_http(login)
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)

    def _away(self, away: bool) -> None:
        if self.on_wait is not None and self.answered:
            self.on_wait(away)

    def _once(self, request: httpx2.Request) -> httpx2.Response:
        with lost_as_such():
            response = self.http.send(request)
        self.answered = True
        if is_lost(response):
            raise Lost(httpx2.RemoteProtocolError(f"status {response.status_code}"))
        return response

    def _document(self, response: httpx2.Response) -> JsonObject:
        try:
            document = response.json()
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            return document
        raise _unknown_answer(self.login.address, "it is not a JSON object")


def understood(model: type[ModelT], document: JsonObject) -> ModelT:
    """Return *document* as *model*.

    Raises:
        Failed: It is not one; client and server are of versions that do not fit.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _unknown_answer(model.__name__, f"{where}: {first['msg']}") from None


def _same_login(one: Login, other: Login) -> bool:
    same_token = hmac.compare_digest(one.token or "", other.token or "")
    return same_token and one.address == other.address


def _unknown_answer(subject: str, why: str) -> Failed:
    return Failed(
        "The server's answer cannot be understood",
        subject=subject,
        why=why,
        next_step="Compare `turnout version` here with that of the server, and update the older.",
    )
