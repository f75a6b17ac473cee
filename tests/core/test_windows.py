"""When a maintenance window is open, by the clock on the wall of its time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.api.maintenance import Day, MaintenanceWindow
from backstop.core.windows import open_window, say

BERLIN = "Europe/Berlin"


def weekly(opens: str, closes: str, *days: str, timezone: str = "UTC") -> MaintenanceWindow:
    """Return a window of each week."""
    return MaintenanceWindow.model_validate(
        {"days": list(days), "opens": opens, "closes": closes, "timezone": timezone}
    )


def at(text: str) -> float:
    """Return the Unix time of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NIGHT = weekly("22:00", "02:00", "Sat", timezone=BERLIN)
DAY = weekly("09:00", "17:30")


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        (DAY, "2024-01-08 08:59:59", False),
        (DAY, "2024-01-08 09:00", True),
        (DAY, "2024-01-08 17:29:59", True),
        (DAY, "2024-01-08 17:30", False),
        (NIGHT, "2024-01-06 20:59:59", False),
        (NIGHT, "2024-01-06 21:00", True),
        (NIGHT, "2024-01-07 00:59:59", True),
        (NIGHT, "2024-01-07 01:00", False),
        (NIGHT, "2024-01-07 21:00", False),
        (NIGHT, "2024-01-05 23:30", False),
        (NIGHT, "2024-07-06 20:00", True),
        (weekly("06:00", "06:00", "Mon"), "2024-01-08 05:59", False),
        (weekly("06:00", "06:00", "Mon"), "2024-01-09 05:59", True),
        (weekly("06:00", "06:00", "Mon"), "2024-01-09 06:00", False),
    ],
)
def test_a_weekly_window_follows_its_own_clock(window, now, is_open):
    """From its first moment until just before its last, on its days, also over midnight."""
    assert (open_window([window], at(now)) is window) is is_open


@pytest.mark.parametrize(
    ("opens", "closes", "first", "last"),
    [
        ("02:30", "03:30", "2024-03-31 01:00", "2024-03-31 01:30"),
        ("01:30", "02:30", "2024-03-31 00:30", "2024-03-31 01:00"),
        ("01:00", "04:00", "2024-03-31 00:00", "2024-03-31 02:00"),
        ("02:30", "03:30", "2024-10-27 00:30", "2024-10-27 02:30"),
        ("01:30", "02:30", "2024-10-26 23:30", "2024-10-27 01:30"),
        ("02:15", "02:45", "2024-10-27 00:15", "2024-10-27 01:45"),
    ],
    ids=["opens-in-gap", "closes-in-gap", "over-gap", "opens-twice", "closes-twice", "all-twice"],
)
def test_a_change_of_clocks_neither_shortens_nor_doubles_a_window(opens, closes, first, last):
    """A skipped time is the moment of the jump; one that comes twice opens first, closes last."""
    window = weekly(opens, closes, "Sun", timezone=BERLIN)
    begin, end = at(first), at(last)
    moments = [begin + 60 * minute for minute in range(-180, 240)]
    found = [moment for moment in moments if open_window([window], moment)]
    assert (found[0], found[-1]) == (begin, end - 60)
    assert len(found) == (end - begin) / 60


def test_a_window_that_is_all_skipped_does_not_open():
    """The clock never shows any of it that night."""
    window = weekly("02:15", "02:45", timezone=BERLIN)
    moments = [at("2024-03-31 00:00") + 60 * minute for minute in range(180)]
    assert not any(open_window([window], moment) for moment in moments)


def test_a_clock_put_back_over_midnight_opens_no_window_twice():
    """Midnight comes twice there; the window of the new day stays open in the hour between."""
    window = weekly("00:00", "03:00", "Sun", timezone="America/St_Johns")
    # On 2010-11-07 at 00:01 clocks went back to 23:01 of Saturday.
    begin = datetime(2010, 11, 7, 0, 0, tzinfo=ZoneInfo("America/St_Johns")).timestamp()
    opened = [bool(open_window([window], begin + 60 * minute)) for minute in range(-5, 260)]
    assert opened == [False] * 5 + [True] * 240 + [False] * 20


def test_a_single_window_is_open_once():
    """It has a begin and an end, and no clock."""
    window = MaintenanceWindow.model_validate(
        {"begins": "2024-01-08T09:00:00+01:00", "ends": "2024-01-08T10:00:00Z"}
    )
    moments = ["2024-01-08 07:59:59", "2024-01-08 08:00", "2024-01-08 09:59", "2024-01-08 10:00"]
    assert [bool(open_window([window], at(one))) for one in moments] == [False, True, True, False]
    assert say(window) == "2024-01-08 08:00 to 2024-01-08 10:00 UTC"


def test_windows_are_said_as_they_were_written():
    """Without days it is each day."""
    assert say(NIGHT) == "Sat 22:00-02:00 Europe/Berlin"
    assert say(weekly("09:00", "17:30")) == "each day 09:00-17:30 UTC"
    assert say(weekly("09:00", "17:30", "Mon", "Tue")) == "Mon, Tue 09:00-17:30 UTC"


def test_the_first_open_window_is_told():
    """None is where none is open."""
    now = at("2024-01-08 12:00")
    assert open_window([NIGHT, DAY, DAY], now) is DAY
    assert open_window([], now) is None


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - made UTC
    opens=st.integers(0, 1439),
    length=st.integers(1, 1440),
    day=st.sampled_from(list(Day)),
)
def test_without_changes_of_clocks_a_window_is_open_for_its_length_each_week(
    moment, opens, length, day
):
    """Seen in UTC, it is arithmetic on the minute of the week."""
    closes = (opens + length) % 1440
    window = weekly(f"{opens // 60:02}:{opens % 60:02}", f"{closes // 60:02}:{closes % 60:02}", day)
    moment = moment.replace(tzinfo=UTC)
    begin = list(Day).index(day) * 1440 + opens
    monday = (moment - timedelta(days=moment.weekday())).date()
    minute = (moment - datetime.combine(monday, datetime.min.time(), UTC)) / timedelta(minutes=1)
    assert (open_window([window], moment.timestamp()) is window) is (
        (minute - begin) % 10080 < length
    )
