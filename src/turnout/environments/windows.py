"""Time windows: when something may happen, by weekday and time of day in a place's own time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from turnout.base.errors import InvalidInput
from turnout.wire.rollout import GateSpec

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOKED_AT = 9
"""Days from yesterday on: a window that opens late closes on the next day."""


def opens(window: GateSpec, now: datetime) -> datetime:
    """Return when *window* is open next: *now* itself while it is open.

    A window that closes before it opens lasts over midnight and belongs to the day on which it
    opens.  One that closes when it opens is open all day.

    Raises:
        InvalidInput: Nobody knows the time zone.
    """
    zone = _zone(window.timezone)
    today = now.astimezone(zone).date()
    for ahead in range(-1, _LOOKED_AT):
        day = today + timedelta(days=ahead)
        if _DAYS[day.weekday()] not in window.days:
            continue
        begin = datetime.combine(day, _time(window.opens), zone)
        end = datetime.combine(day, _time(window.closes), zone)
        if window.closes == "24:00":
            end = datetime.combine(day + timedelta(days=1), time(0), zone)
        if end <= begin:
            end = datetime.combine(day + timedelta(days=1), end.time(), zone)
        # In UTC: an hour that is shown twice in autumn passes twice.
        if now < end.astimezone(UTC):
            return max(now, begin.astimezone(UTC))
    raise InvalidInput("A window never opens", subject=window.name, why="it names no day")


def _time(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(
            "There is no such time zone",
            subject=name,
            next_step="Use a name of the IANA database such as Europe/Berlin, or UTC.",
        ) from error
