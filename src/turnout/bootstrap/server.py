"""The server as ``turnout up`` runs it: every adapter wired to its port, from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

import turnout
from turnout.api import app as api
from turnout.api.door import AllowedHosts
from turnout.api.server import Tls, bind, require_tls, tls_context
from turnout.api.server import serve as serve_api
from turnout.base import logs
from turnout.base.database import Database
from turnout.base.errors import TurnoutError
from turnout.base.rundir import run_directory
from turnout.bootstrap.options import HOST, Options, reached_at
from turnout.cli import credentials, output
from turnout.coordinator.context import Context, Settings
from turnout.coordinator.engine import Engine
from turnout.coordinator.fleet import Fleet
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.service import Coordinator
from turnout.environments.catalogue import Catalogue
from turnout.keys.keyring import Keyring
from turnout.keys.tls import self_signed
from turnout.monitoring.events import EventLog
from turnout.monitoring.series import Series
from turnout.packages.buffers import keep_small
from turnout.packages.store import Store
from turnout.security.sessions import Sessions
from turnout.security.tokens import Tokens
from turnout.targets.agent_host import AgentHost
from turnout.targets.local import agent_socket, ensure_agent, stop_agent
from turnout.web.pages import Pages
from turnout.wire.api import ServerInfo

log = structlog.get_logger(__name__)
_CARE_INTERVAL_S = 0.5
"""Seconds between looks at the agent."""


async def serve(options: Options) -> None:
    """Wire everything, serve until a signal, and end in order.

    Raises:
        Conflict: An address is taken.
        Failed: The agent, the router or the database cannot start.
    """
    stop = _stop_on_signal()
    tls, fingerprint = _tls(options)
    bound = bind(*options.listen)
    logs.configure(file=options.data / "server.log")

    run_dir = run_directory(options.data / "host")
    host_data = options.data / "host"
    # What can be refused is opened first: a server that cannot come up leaves no agent behind.
    database = Database(options.database)
    database.migrate()
    events = EventLog(database)
    keyring = Keyring.open(options.data / "keys")
    store = Store(options.data / "store", keyring)
    store.sweep()
    ledger = Ledger(database, events)
    await ensure_agent(host_data, run_dir, HOST, options.http)
    host = AgentHost(HOST, agent_socket(run_dir))

    def tell_breaker(name: str, service: str, state: str) -> None:
        with database.transaction() as connection:
            events.append(connection, f"breaker.{state}", host=name, service=service)

    ctx = Context(
        ledger=ledger,
        fleet=Fleet({HOST: host}, tell_breaker),
        store=store,
        keyring=keyring,
        catalogue=Catalogue(database),
        series=Series(database),
        settings=Settings(
            http_address=f"{options.http[0]}:{options.http[1]}", traces=options.traces
        ),
    )
    coordinator = Coordinator(ctx, Engine(options.database, HOST))
    tokens, sessions = Tokens(database), Sessions(database)
    closing = asyncio.Event()
    pages = Pages(
        coordinator, events, tokens, sessions, version=turnout.__version__, closing=closing
    )
    application = api.create_app(
        coordinator=coordinator,
        store=store,
        database=database,
        tokens=tokens,
        events_log=events,
        info=ServerInfo(
            version=turnout.__version__,
            http_address=f"{options.http[0]}:{options.http[1]}",
            single_machine=True,
            pid=os.getpid(),
            data=str(options.data),
        ),
        uploads_dir=options.data / "uploads",
        hosts=AllowedHosts(options.listen[0], options.names),
        pages=pages.app(),
        closing=closing,
    )
    await coordinator.launch()
    care = asyncio.gather(_care_for_agent(host_data, run_dir, options.http), keep_small())

    name, port = reached_at(options.listen[0]), bound.getsockname()[1]
    address = f"{'https' if tls else 'http'}://{f'[{name}]' if ':' in name else name}:{port}"
    # Before the first answer: a client that comes at once must find its token.
    _save_login(tokens, address, fingerprint)

    def ready(_name: str, _port: int) -> None:
        _greet(options, address, f"{address}/login?code={sessions.new_code()}", fingerprint)

    try:
        await serve_api(application, *options.listen, ready=ready, stop=stop, tls=tls, bound=bound)
    finally:
        care.cancel()
        await asyncio.gather(care, return_exceptions=True)
        await coordinator.close()
        if options.stop_apps:
            await host.halt()
            await stop_agent(run_dir, HOST)
        await host.close()
        database.close()


async def _care_for_agent(data: Path, run_dir: Path, http: tuple[str, int]) -> None:
    """Start the agent again when it has died; instances and router go on meanwhile."""
    while True:
        await asyncio.sleep(_CARE_INTERVAL_S)
        try:
            await ensure_agent(data, run_dir, HOST, http, renew=False)
        except TurnoutError as error:
            log.error("agent.down", why=str(error))


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _tls(options: Options) -> tuple[Tls | None, str | None]:
    """Return the certificate to serve with, and its fingerprint where clients must pin it."""
    if options.tls is not None:
        given = Tls(*options.tls)
        tls_context(given)  # a wrong one is refused before anything runs
        return given, None
    if not require_tls(options.listen[0]):
        return None, None
    host = options.listen[0]
    hosts = list(dict.fromkeys((*options.names, reached_at(host), host, "localhost")))
    certificate, key, fingerprint = self_signed(options.data / "tls", hosts)
    return Tls(certificate, key), fingerprint


def _save_login(tokens: Tokens, address: str, fingerprint: str | None) -> None:
    """Leave a token where the CLI of this user finds it, unless a good one lies there."""
    token = tokens.ensure_local()
    if token is None:
        with contextlib.suppress(TurnoutError):
            known = credentials.lookup(address)
            if known.token and tokens.verify(known.token):
                if known.fingerprint != fingerprint:  # the certificate was renewed
                    credentials.save(address, known.token, fingerprint)
                return
        token = tokens.rotate_local()
    credentials.save(address, token, fingerprint)


def _greet(options: Options, address: str, login: str, fingerprint: str | None) -> None:
    facts = {
        "event": "ready",
        "api": address,
        "login_url": login,
        "http": f"http://{options.http[0]}:{options.http[1]}/",
        "data": str(options.data),
        "pid": os.getpid(),
        "fingerprint": fingerprint,
    }
    if options.json:
        output.json_line(facts)
        return
    say: Callable[[str], None] = output.err
    say(f"Turnout {turnout.__version__} runs. Data: {facts['data']}")
    say(f"  Dashboard  {login}")
    say("             (this address logs in once, within ten minutes)")
    say(f"  Sites      {facts['http']}")
    say("  Deploy     turnout deploy PATH --to production")
    if fingerprint:
        say(f"  Pin        {fingerprint}")
    say("Ctrl-C stops the server; what it serves goes on, unless started with --stop-apps.")
