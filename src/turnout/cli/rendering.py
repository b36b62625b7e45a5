"""Documents as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from turnout.cli.problems import placed, visible
from turnout.cli.values import show_bytes, show_duration
from turnout.cli.waits import waiting_lines
from turnout.wire.api import (
    DeploymentDetail,
    DeploymentDocument,
    EnvironmentDocument,
    Event,
    LogEntry,
    ReleaseDocument,
    StepDocument,
)
from turnout.wire.logs import ErrorKind, FoundLine

Row = Sequence[str]

NO_RETURN = "  ---- point of no return: behind this line nothing goes back by itself ----"
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")

_STYLES = {"succeeded": "green", "failed": "red", "rolled_back": "red", "aborted": "yellow"}
_TICKS = {"done": "+", "failed": "x", "undone": "<", "undo_failed": "!", "running": ">"}


def outcome(document: DeploymentDocument) -> Iterator[tuple[str, str]]:
    """Yield lines, each with its style, that say how a deployment stands or ended."""
    place = f"{document.project}/{document.environment}"
    took = f", {show_duration(document.duration_s)}" if document.duration_s is not None else ""
    head = f"{document.status.replace('_', ' ')}: "
    if document.drill:
        head = f"rehearsal {head}rollback of {place} to {document.release[:12]}"
    elif document.status == "succeeded":
        head += f"{place} serves {document.release[:12]}"
    else:
        head += f"{document.kind} of {document.release[:12]} to {place}"
    yield f"{head} ({document.id}{took})", _STYLES.get(document.status, "")
    if document.status == "rolled_back" and document.previous_release:
        yield f"  {document.previous_release[:12]} serves again", ""
    if document.reason:
        for line in (*document.reason.splitlines(), *last_words(document)):
            yield f"  {visible(line)}", ""
    if document.drill:
        yield from _drilled(document)
    elif document.status == "succeeded" or document.status not in _STYLES:
        yield f"  site:    {visible(document.url)}", "bold"
        yield f"  release: {visible(document.release_url)}", ""
    if document.uploaded_bytes or document.reused_bytes:
        sent, reused = show_bytes(document.uploaded_bytes), show_bytes(document.reused_bytes)
        yield f"  sent {sent} packed, reused {reused}", "dim"
    if document.status in ("failed", "rolled_back"):
        yield f"next: `turnout show {document.id}` and `turnout logs {document.id}` tell more", ""
    elif document.status not in _STYLES:
        yield f"next: `turnout events {document.id} -f` follows it", ""


def _drilled(document: DeploymentDocument) -> Iterator[tuple[str, str]]:
    found = document.drilled if isinstance(document, DeploymentDetail) else None
    if found is None:
        return
    if not found.would_work:
        yield visible(f"  a rollback would NOT work: {found.fails}"), "red"
        return
    ready = "" if found.ready_s is None else f" and be ready in {show_duration(found.ready_s)}"
    yield f"  a rollback would work{ready}; nothing was changed", "green"


def last_words(document: DeploymentDocument) -> Iterator[str]:
    """Yield the last log lines of the instance that ended a deployment, if there are any."""
    facts = (document.problem or {}).get("facts")
    lines = facts.get("log_tail") if isinstance(facts, dict) else None
    for line in lines if isinstance(lines, list) else ():
        yield f"log | {line}"


def asked_lines(verb: str, document: DeploymentDocument) -> Iterator[str]:
    """Yield lines that say what a deployment under way was asked for; it may take a moment."""
    status = document.status.replace("_", " ")
    said = {"approve": "approved", "reject": "rejected", "promote": "asked to promote now"}
    asked = said.get(verb, f"asked to {verb}")
    yield f"{asked}: {document.id} to {document.project}/{document.environment} ({status})"
    yield f"next: `turnout events {document.id} -f` follows it"


def detail_lines(detail: DeploymentDetail) -> Iterator[str]:
    """Yield a deployment with its phases and steps as they went."""
    yield f"{detail.kind} {detail.id}: {detail.status.replace('_', ' ')}"
    yield f"  to        {detail.project}/{detail.environment}, {detail.strategy}"
    yield f"  release   {detail.release}"
    yield f"  before    {detail.previous_release or 'nothing'}"
    yield f"  created   {moment(detail.created_at)}"
    if detail.duration_s is not None:
        yield f"  took      {show_duration(detail.duration_s)}"
    yield visible(f"  site      {detail.url}")
    if detail.message:
        yield visible(f"  message   {detail.message}")
    if detail.only:
        yield f"  only      {detail.only}"
    if detail.cause:
        yield f"  cause     {detail.cause}"
    if detail.failed_requests is not None:
        yield f"  cost      {detail.failed_requests} live requests failed while it was under way"
    if detail.drill:
        yield "  drill     it is only rehearsed; nothing changes"
    for line, _ in _drilled(detail):
        yield f"  {line.strip()}"
    for part in detail.split:
        yield f"  split     {part.weight:>3} % {part.role} {part.release[:12]}"
    if detail.waiting_for is not None:
        for line in waiting_lines(detail.id, detail.waiting_for):
            yield f"  {line}"
    for index, line in enumerate((*detail.reason.splitlines(), *last_words(detail))):
        yield visible(f"  {'' if index else 'reason':9} {line}")
    for phase in detail.phases:
        took = ""
        if phase.started_at and phase.finished_at:
            took = show_duration((phase.finished_at - phase.started_at).total_seconds())
        yield f"{_TICKS.get(phase.status, ' ')} {phase.name}  {took}".rstrip()
        for step in detail.steps:
            if step.phase == phase.name:
                if step.irreversible:
                    yield NO_RETURN
                yield _step_line(step)


def _step_line(step: StepDocument) -> str:
    title = placed(step.title, step.host)
    tries = f", {step.attempts} attempts" if step.attempts > 1 else ""
    error = f": {step.error.splitlines()[0]}" if step.error else ""
    return visible(f"  {_TICKS.get(step.status, ' ')} {title}{tries}{error}")


def deployment_rows(items: Sequence[DeploymentDocument]) -> Iterator[Row]:
    """Yield the rows of a list of deployments, the head first."""
    yield ("ID", "KIND", "TO", "RELEASE", "STATUS", "STARTED", "TOOK")
    for item in items:
        yield (
            item.id,
            item.kind,
            f"{item.project}/{item.environment}",
            item.release[:12],
            item.status,
            moment(item.started_at),
            "-" if item.duration_s is None else show_duration(item.duration_s),
        )


def release_rows(items: Sequence[ReleaseDocument]) -> Iterator[Row]:
    """Yield the rows of a list of releases, the head first."""
    yield ("RELEASE", "CREATED", "FILES", "SIZE", "LIVE IN", "MESSAGE")
    for item in items:
        live = ", ".join(item.live_in) or "-"
        message = item.message.partition("\n")[0][:60]
        row = (item.release[:12], moment(item.created_at), str(item.files))
        yield (*row, show_bytes(item.bytes), live, message)


def environment_rows(items: Sequence[EnvironmentDocument]) -> Iterator[Row]:
    """Yield the rows of what is live where, the head first."""
    yield ("PROJECT", "ENVIRONMENT", "LIVE", "SINCE", "HEALTH", "UNDER WAY", "QUEUED", "URL")
    for item in items:
        under_way = f"{item.deployment} {item.deployment_status}" if item.deployment else "-"
        yield (
            item.project,
            item.environment,
            item.live_release[:12] if item.live_release else "-",
            moment(item.live_since),
            item.health,
            under_way,
            str(item.queued),
            item.url,
        )


def log_line(entry: LogEntry) -> str:
    """Return a log entry as one line."""
    at = entry.at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
    return visible(f"{at} {entry.host} {entry.source} | {entry.text}")


def found_line(line: FoundLine) -> str:
    """Return a line that a log search found as one line."""
    source = f"{line.scope} {line.release[:12] or line.revision}/{line.instance}"
    level = f" {line.level}" if line.level else ""
    return visible(f"{moment(line.at)} {line.host} {source}{level} | {line.text}")


def error_rows(items: Sequence[ErrorKind]) -> Iterator[Row]:
    """Yield the rows of the errors that a log search found, the head first."""
    yield ("COUNT", "FIRST", "LAST", "LEVEL", "HOSTS", "FINGERPRINT", "ERROR")
    for item in items:
        row = (str(item.count), moment(item.first_at), moment(item.last_at), item.level)
        title = item.title if len(item.title) <= 100 else item.title[:97] + "..."
        yield (*row, ", ".join(item.hosts) or "-", item.fingerprint, title)


def event_line(event: Event) -> str:
    """Return an event as one line; what only programs need is left to ``--json``."""
    at = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    place = f"{event.project}/{event.environment}" if event.project else "-"
    facts = {key: value for key, value in event.data.items() if value not in (None, "")}
    group = event.kind.partition(".")[0]
    text = ""
    if group in ("phase", "step"):
        text = f"  {facts.pop('phase', '')}"
    if group == "step":
        text += f": {placed(str(facts.pop('title', '')), facts.get('host'))}"
        facts = {key: facts[key] for key in ("attempt", "delay_s", "error") if key in facts}
        if facts.get("attempt") == 1:
            del facts["attempt"]
    pairs = "".join(f"  {key}={_DIGEST.sub(_short, str(value))}" for key, value in facts.items())
    return visible(f"{event.seq} {at} {place} {event.deployment or '-'} {event.kind}{text}{pairs}")


def moment(at: datetime | None) -> str:
    """Return a time in the local zone, to the second."""
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(rows: Iterator[Row]) -> Iterator[str]:
    """Yield *rows* as lines with aligned columns."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _short(digest: re.Match[str]) -> str:
    return digest[0][:12]
