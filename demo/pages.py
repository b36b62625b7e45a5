"""What the demo prints: a line as each act ends, and the table of them all."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from demo.stage import Played
from load import Report


def console() -> Console:
    """Return where the demo prints; piped, it is wide enough for the table."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=110)


def line(out: Console, played: Played) -> None:
    """Print that an act has ended, and what was wrong with it if anything was."""
    act, outcome = played.act, played.outcome
    mark = "[red]wrong[/]" if played.faults else "[green]ok[/]   "
    out.print(
        f"{mark} {act.project.name}: {act.title} {act.version} "
        f"[bold]{outcome.status or '-'}[/] in {outcome.seconds:.1f} s"
    )
    if act.exit_code and not played.faults:
        reason = outcome.reason.partition("\n")[0]
        out.print(f"      {reason}", markup=False, soft_wrap=True)
    for fault in played.faults:
        out.print(f"      {fault}", markup=False, soft_wrap=True)


def evidence(out: Console, text: str) -> None:
    """Print why a canary was decided as it was."""
    for one in text.rstrip().splitlines():
        out.print(f"      {one}", markup=False, soft_wrap=True)


def table(out: Console, show: list[Played]) -> None:
    """Print what happened."""
    rows = Table(title="What happened", title_justify="left")
    for name in ("project", "act", "release", "ended as"):
        rows.add_column(name, no_wrap=True)
    for name in ("seconds", "requests during", "failed"):
        rows.add_column(name, justify="right")
    for played in show:
        rows.add_row(
            played.act.project.name,
            f"{played.act.title} {played.act.version}".strip(),
            played.outcome.release[:12],
            played.outcome.status or f"exit {played.outcome.exit_code}",
            f"{played.outcome.seconds:.2f}",
            str(played.load.requests),
            str(played.load.failed),
        )
    out.print(rows)


def load(out: Console, report: Report) -> None:
    """Print what the clients saw; failures by kind and reason."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.by_kind.items()))
    out.print(f"Clients: {kinds or 'none'}")
    if report.requests:
        out.print(
            f"Latency: median {report.latency(0.5) * 1000:.1f} ms, "
            f"p99 {report.latency(0.99) * 1000:.1f} ms"
        )
    for (kind, reason), count in report.failures.most_common(10):
        out.print(f"[red]failed[/] {count} x {kind}: ", end="")
        out.print(reason, markup=False)
    if report.skipped:
        out.print(f"[red]{report.skipped} requests were due while too many were open[/]")
