"""The next look is just after the next sample, and never later than the interval."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0

from backstop.core.cadence import ARRIVAL, SHORTEST, next_look


def wait(*ages: float, scrape: float | None, interval: float) -> float:
    """How long the next look waits, when the newest samples are so many seconds old."""
    newest = [T0 - age for age in ages]
    due = next_look(now=T0, newest=newest, scrape_interval=scrape, interval=interval)
    return round(due - T0, 6)


@pytest.mark.parametrize(
    ("ages", "scrape", "interval", "expected"),
    [
        ([0.02], 1.0, 1.0, 1.0),
        ([0.3], 1.0, 1.0, 0.72),
        ([0.3, 0.8], 1.0, 1.0, 0.22),  # whichever target is scraped first
        # A sample that is a little late is looked for at once, then at its next turn.
        ([1.0], 1.0, 1.0, SHORTEST),
        ([1.01], 1.0, 1.0, SHORTEST),
        ([1.4], 1.0, 1.0, SHORTEST),
        ([1.6], 1.0, 1.0, 0.42),
        # With a long interval the look falls on the last scrape before it ends.
        ([0.3], 1.0, 15.0, 14.72),
        ([3.0], 5.0, 15.0, 12.02),
        # Without a rhythm, and with scrapes rarer than looks, the interval is all there is.
        ([0.3], None, 15.0, 15.0),
        ([0.3], 0.0, 15.0, 15.0),
        ([], 1.0, 15.0, 15.0),
        ([3.0], 60.0, 15.0, 15.0),
        ([55.0], 60.0, 15.0, 5.02),
    ],
)
def test_the_next_look_follows_the_next_sample(ages, scrape, interval, expected):
    """Scrapes are evenly spaced, so the time of the next one is known."""
    assert wait(*ages, scrape=scrape, interval=interval) == expected


_ages = st.lists(st.floats(-4, 600), max_size=6)
_scrapes = st.none() | st.just(0.0) | st.floats(0.001, 120)


@given(_ages, _scrapes, st.floats(0.001, 600))
def test_a_look_is_never_late_and_never_at_once(ages, scrape, interval):
    """Within the interval (or the shortest distance, if that is longer), whatever was scraped."""
    waited = wait(*ages, scrape=scrape, interval=interval)
    assert 0 < waited <= max(interval, SHORTEST) + 1e-6
    assert waited >= min(interval, SHORTEST) - 1e-6


@given(st.floats(ARRIVAL, 1), st.floats(0.2, 60), st.floats(1, 20))
def test_a_look_finds_a_new_sample(part, scrape, looks):
    """When scrapes are on time, the look is just after one, and after the last before the end."""
    age = max(ARRIVAL, part * (scrape - SHORTEST))
    interval = scrape * looks
    waited = wait(age, scrape=scrape, interval=interval)
    since = waited + age
    scraped = math.floor(since / scrape + 1e-6)
    assert scraped >= 1
    assert since - scraped * scrape == pytest.approx(ARRIVAL, abs=1e-4)
    assert waited > interval - scrape - 1e-6
