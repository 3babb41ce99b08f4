"""When the window of a budget begins and ends: by the clock on the wall, through changes of it. Pure."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, tzinfo

HOUR_S = 3600
PERIODS = ("hour", "day", "week", "month", "total")
PROCESS = "process"
"""The window of --max-cost and its like: from the start of this LLMFlow to its end."""

Window = tuple[int, int | None]
"""Start and end in epoch seconds; the end is the first second that is not inside. None: it never ends."""

ALWAYS: Window = (0, None)


def window(per: str, at_s: float, zone: tzinfo | None) -> Window:
    """Return the window that holds a time. zone: None = this machine's local time."""
    if per in ("total", PROCESS):
        return ALWAYS
    try:
        here = datetime.fromtimestamp(at_s, zone)
        if per == "hour":
            return _hour(at_s, here)
        first = _first_day(per, here.date())
        return _midnight(first, zone), _midnight(_next(per, first), zone)
    except (ValueError, OverflowError, OSError):  # a span may name a year that no calendar knows
        return (0, 0)


def _hour(at_s: float, here: datetime) -> Window:
    # Counted back from the minute it shows: an hour that comes twice in autumn is two windows.
    start = math.floor(at_s) - here.minute * 60 - here.second
    return start, start + HOUR_S


def _first_day(per: str, day: date) -> date:
    if per == "week":
        return day - timedelta(days=day.weekday())  # Monday, as ISO 8601 has it
    return day.replace(day=1) if per == "month" else day


def _next(per: str, first: date) -> date:
    if per == "month":
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first + timedelta(days=7 if per == "week" else 1)


def _midnight(day: date, zone: tzinfo | None) -> int:
    """Return when a day begins. Where the clock skips midnight that is the moment it skips it."""
    return int(datetime.combine(day, time(), zone).timestamp())


def told(at_s: float | None, zone: tzinfo | None) -> str | None:
    """Write a moment for people and programs: ISO 8601 with the offset."""
    if at_s is None:
        return None
    moment = datetime.fromtimestamp(at_s, zone)
    return (moment.astimezone() if zone is None else moment).isoformat(timespec="seconds")
