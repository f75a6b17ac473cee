"""When to look again: just after the next sample, not at fixed ticks.

Scrapes of one target are evenly spaced, so the time of the next sample is known from the last one.
"""

import math
from collections.abc import Iterable
from typing import Final

ARRIVAL: Final = 0.02
"""Seconds between a scrape and its samples being readable."""

SHORTEST: Final = 0.05
"""No two looks are closer than this, in seconds."""


def next_look(
    *, now: float, newest: Iterable[float], scrape_interval: float | None, interval: float
) -> float:
    """Return the Unix time of the next look, at most ``interval`` seconds after ``now``.

    ``newest`` holds the time of the newest sample of each scrape target; one whose next sample is a
    little overdue is looked for again at once. With an ``interval`` longer
    than ``scrape_interval`` the look falls on the last scrape before the interval ends.
    """
    if scrape_interval is None or scrape_interval <= 0.0:
        return now + interval
    earliest = now + max(SHORTEST, interval - scrape_interval)
    arrivals = (_arrival(sample, scrape_interval, now, earliest) for sample in newest)
    return max(earliest, min((*arrivals, now + interval)))


def _arrival(sample: float, scrape_interval: float, now: float, earliest: float) -> float:
    overdue = now - sample - scrape_interval
    if 0.0 <= overdue < scrape_interval / 2:
        return earliest
    ahead = max(1, math.ceil((earliest - sample - ARRIVAL) / scrape_interval))
    return sample + ahead * scrape_interval + ARRIVAL
