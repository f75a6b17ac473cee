"""Which maintenance window is open, by the clock of its own time zone.

Where clocks are changed, a time that comes twice opens at its first and closes at its second
appearance, and one that is skipped counts as the moment of the jump. A window is thus never shorter
than the clock on the wall says, and never opens twice in a night.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from backstop.api.maintenance import Day, MaintenanceWindow

_DAYS: Final = tuple(Day)
_NEAR: Final = (timedelta(days=-1), timedelta(0), timedelta(days=1))
"""Days on which a window that is open now can have opened: yesterday, for one over midnight; and
tomorrow, where a clock was put back over midnight."""


def open_window(windows: Iterable[MaintenanceWindow], now: float) -> MaintenanceWindow | None:
    """Return the first of ``windows`` that is open at the Unix time ``now``, if one is.

    A window is open from its first moment until just before its last. One whose ``closes`` is not
    later than its ``opens`` closes on the next day.
    """
    return next((one for one in windows if _is_open(one, now)), None)


def say(window: MaintenanceWindow) -> str:
    """Return ``window`` in words: ``Sat, Sun 22:00-02:00 Europe/Berlin``."""
    if window.begins is not None and window.ends is not None:
        begins, ends = (one.astimezone(UTC) for one in (window.begins, window.ends))
        return f"{begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC"
    days = ", ".join(window.days) if window.days else "each day"
    return f"{days} {window.opens}-{window.closes} {window.timezone}"


def _is_open(window: MaintenanceWindow, now: float) -> bool:
    if window.opens is None or window.closes is None:
        begins, ends = window.begins, window.ends
        return begins is not None and ends is not None and _between(begins, ends, now)
    zone = ZoneInfo(window.timezone)
    today = datetime.fromtimestamp(now, tz=zone).date()
    days = [day for day in (today + near for near in _NEAR) if _opens_on(window, day)]
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    over_midnight = timedelta(days=0 if closes > opens else 1)
    return any(
        _is_within(
            datetime.combine(day, opens), datetime.combine(day + over_midnight, closes), zone, now
        )
        for day in days
    )


def _between(begins: datetime, ends: datetime, now: float) -> bool:
    return begins.timestamp() <= now < ends.timestamp()


def _opens_on(window: MaintenanceWindow, day: date) -> bool:
    return not window.days or _DAYS[day.weekday()] in window.days


def _is_within(begin: datetime, end: datetime, zone: ZoneInfo, now: float) -> bool:
    """Return whether ``now`` lies between two times of the clock on the wall."""
    shown = datetime.fromtimestamp(now, tz=zone).replace(tzinfo=None, fold=0)
    opened = shown >= begin or now >= _instant(begin, zone, fold=0)
    closed = shown >= end and now >= _instant(end, zone, fold=1)
    return opened and not closed


def _instant(wall: datetime, zone: ZoneInfo, *, fold: int) -> float:
    """Return when the clock shows ``wall`` for the first (0) or the last (1) time."""
    return wall.replace(tzinfo=zone, fold=fold).timestamp()
