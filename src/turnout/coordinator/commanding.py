"""Commands of a project, run on a host in the tree of the release that is deployed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from turnout.base.errors import Failed
from turnout.coordinator.looks import Desk, Look
from turnout.coordinator.verifying import LINES_TOLD, LONGEST_LINE
from turnout.wire import agent as wire
from turnout.wire.rollout import CommandSpec

Runner = Callable[[str, tuple[str, ...], float], Awaitable[wire.CommandResult]]
_SPARE_S = 30.0


async def look(desk: Desk) -> Look:
    """Run a command of the project to its end.

    Raises:
        Failed: It says no.
    """
    spec = CommandSpec.model_validate(dict(desk.args))
    found = await run(desk, spec.name, spec.command, spec.timeout)
    return Look(done=True, result={"exit_code": found.exit_code, "took_s": found.took_s})


async def run(desk: Desk, name: str, command: Sequence[str], timeout: float) -> wire.CommandResult:
    """Run a command once for a step; asked again, also after a crash, its result is told again.

    Args:
        timeout: Seconds after which it is ended.

    Raises:
        Failed: It ended with another code than 0, or took too long; never tried again.
    """
    host = _host(desk)
    found = await _once(desk, host, f"{desk.job.id}-{desk.position}", command, timeout)
    if found.exit_code == 0 and not found.timed_out:
        return found
    lines = (line.strip()[:LONGEST_LINE] for line in found.tail[-LINES_TOLD:])
    words = " / ".join(line for line in lines if line)
    how = "took too long" if found.timed_out else f"ended with {found.exit_code}"
    raise Failed(
        f"The command '{name}' {how}",
        subject=host,
        why=f"it last wrote: {words}" if words else "it wrote nothing",
        next_step="Mend what it says, then deploy again.",
        facts={"final": True, "exit_code": found.exit_code, "log_tail": list(found.tail)},
    )


def runner(desk: Desk) -> Runner:
    """Return what runs the command of a metric; what it ends with is a measurement, no error."""

    async def run_it(id: str, command: tuple[str, ...], timeout: float) -> wire.CommandResult:
        return await _once(desk, _host(desk), id, command, timeout)

    return run_it


def _host(desk: Desk) -> str:
    return desk.host or (desk.job.intent.hosts or desk.ctx.fleet.names)[0]


async def _once(
    desk: Desk, host: str, id: str, command: Sequence[str], timeout: float
) -> wire.CommandResult:
    job = desk.job
    app = job.intent.component.run
    wanted = wire.CommandWanted(
        scope=job.scope,
        id=id,
        revision=job.revision.revision,
        release=job.revision.release,
        command=tuple(command),
        variables=dict(app.variables) if app else {},
        timeout=timeout,
    )
    return await desk.ctx.fleet.call(
        host, lambda driver: driver.run_command(wanted), timeout + _SPARE_S
    )
