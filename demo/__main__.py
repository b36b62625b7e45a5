"""The entrance: `python -m demo [PROJECT]`; with DEMO_KEEP=1 the server stays up at the end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from demo import leftovers, pages, versions
from demo.acts import Group, canary, opening, show
from demo.canaries import canaries
from demo.cli import DemoError, Turnout, find
from demo.stage import Played, Stage
from load import Load

RATE = 150.0
"""Requests a second over both projects: steady load that leaves two cores to the rest."""

CROWDED = 400.0
"""The same where canaries are judged: what is seen of each decides how soon that is over."""

INTERRUPTED = 130


def main() -> int:
    """Run the demo; return 0 if every act ended as it should and no request failed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("project", nargs="?", type=Path, help="a project of your own")
    source: Path | None = parser.parse_args().project
    keep = os.environ.get("DEMO_KEEP", "") not in ("", "0")
    home = Path(tempfile.mkdtemp(prefix="turnout-demo-")).resolve()
    kept = False
    try:
        code = asyncio.run(_guarded(home, source, keep))
        kept = keep and code != INTERRUPTED
        return code
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if not kept:
            leftovers.end(home)
            shutil.rmtree(home, ignore_errors=True)


async def _guarded(home: Path, source: Path | None, keep: bool) -> int:
    """Run the show as a task that the first Ctrl-C or SIGTERM cancels; later ones wait."""
    task = asyncio.ensure_future(_run(home, source, keep))
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            print("Ending what the demo started ...", file=sys.stderr)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED


async def _run(home: Path, source: Path | None, keep: bool) -> int:
    out = pages.console()
    turnout = find(home)
    first = versions.own(source.resolve(), home) if source else versions.site(home)
    app = versions.app(home)
    shops = () if source else canaries(home)
    tracks = [show(first, app), *([canary(*shops)] if shops else [])]
    listen, http = _free_ports(2)
    ended = False
    try:
        began = time.monotonic()
        facts = await turnout.up(f"127.0.0.1:{listen}", f"127.0.0.1:{http}", stop_apps=True)
        out.print(f"Turnout is up after {time.monotonic() - began:.1f} s: {facts['api']}")
        async with Load(rate=RATE) as load:
            stage = Stage(turnout, load, ("127.0.0.1", http))
            played: list[Played] = []
            await _play(out, stage, [opening(first, app, *shops)], played)
            load.rate = CROWDED if shops else RATE
            async with asyncio.TaskGroup() as group:
                for track in tracks:
                    group.create_task(_play(out, stage, track, played))
        report = load.report()
        if keep:
            _leave_up(out, turnout, facts["login_url"], played)
        ended = True
    finally:
        if not (keep and ended):
            await turnout.down()
    left = [] if keep else leftovers.end(home)
    pages.table(out, played)
    pages.load(out, report)
    if left:
        out.print(f"[red]still running after the end, and ended now:[/] {', '.join(left)}")
        out.print(turnout.server_log(), markup=False)
    good = not (report.failed or report.skipped or left or any(one.faults for one in played))
    print(f"requests: {report.requests}, failed: {report.failed}")
    return 0 if good and report.requests else 1


async def _play(out: Console, stage: Stage, track: list[Group], played: list[Played]) -> None:
    """Play one group after the other; print how each act went."""
    for group in track:
        for one in await stage.play(group):
            shown = ""
            if one.act.evidence:
                deployment = str(one.outcome.document.get("id"))
                shown = await stage.turnout.told("show", deployment, "--evidence", width=100)
            pages.line(out, one)
            pages.evidence(out, shown)
            played.append(one)


def _leave_up(out: Console, turnout: Turnout, login: str, played: list[Played]) -> None:
    assert turnout.server is not None
    out.print(f"The server stays up, its data is in {turnout.home}.", soft_wrap=True)
    out.print(f"  Dashboard: {login}", soft_wrap=True)
    for url in sorted({str(one.outcome.document.get("url")) for one in played}):
        out.print(f"  Site:      {url}", soft_wrap=True)
    config = turnout.environment["XDG_CONFIG_HOME"]
    out.print(f"  Commands:  XDG_CONFIG_HOME={config} TURNOUT_URL={turnout.api} turnout status")
    out.print(f"  End it:    kill -INT {turnout.server.pid}")


def _free_ports(count: int) -> list[int]:
    """Return free ports of loopback, below the range that outgoing connections take theirs from."""
    found: list[int] = []
    for port in range(20000 + os.getpid() % 8000, 32000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise DemoError("No free ports were found between 20000 and 32000.")


if __name__ == "__main__":
    sys.exit(main())
