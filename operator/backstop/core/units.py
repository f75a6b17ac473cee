"""The scalar types that people write in a spec, and their numeric meaning.

The Kubernetes API conventions discourage floats, so durations, percentages, quantiles and
decimals are strings with a pattern that the API server enforces. Each has exactly one reader
here, so that a unit is never interpreted in two ways.
"""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import StringConstraints

_MILLISECONDS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SAID_IN_MINUTES: Final = 120.0
_DURATION_PATTERN: Final = r"^[1-9][0-9]{0,6}(ms|s|m|h|d)$"
_DURATION: Final = re.compile(r"(?P<amount>[0-9]+)(?P<unit>ms|s|m|h|d)")

Duration = Annotated[str, StringConstraints(pattern=_DURATION_PATTERN, max_length=9)]
"""A whole number and a unit: ``500ms``, ``30s``, ``5m``, ``6h``, ``14d``."""

Percent = Annotated[
    str, StringConstraints(pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$", max_length=8)
]
"""A share between 0 % and 100 %: ``5%``, ``0.25%``."""

Quantile = Annotated[str, StringConstraints(pattern=r"^p[0-9]{1,2}(\.[0-9]{1,3})?$", max_length=7)]
"""A quantile in the usual shorthand: ``p50``, ``p99``, ``p99.9``."""

Decimal = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,9})?(e-?[0-9]{1,2})?$", max_length=32)
]
"""A number written as a string: ``"0.8"``, ``"-12"``, ``"1e-3"``."""

Bound = Annotated[
    str,
    StringConstraints(
        pattern=r"^((100|[0-9]{1,2}(\.[0-9]{1,4})?)%|[1-9][0-9]{0,6}(ms|s|m|h|d)"
        r"|-?[0-9]{1,15}(\.[0-9]{1,9})?(e-?[0-9]{1,2})?)$",
        max_length=32,
    ),
]
"""A limit in the unit of what it limits: ``5%``, ``250ms`` or ``"0.8"``."""

DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
"""A name that Kubernetes accepts for a Service."""

DnsName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253),
]
"""A name that Kubernetes accepts for most objects."""


LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=63)]
"""A label of a metric."""

LabelValue = Annotated[str, StringConstraints(max_length=253)]
"""A value of such a label."""


def seconds(duration: Duration) -> float:
    """Return ``duration`` in seconds.

    Raises:
        ValueError: ``duration`` is not a duration.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write for example 30s or 5m")
    return int(match["amount"]) * _MILLISECONDS_PER_UNIT[match["unit"]] / 1000


def fraction(percent: Percent) -> float:
    """Return ``percent`` as a share in [0, 1]."""
    return float(f"{percent.removesuffix('%')}e-2")  # dividing by 100 would round twice


class TimeUnit(StrEnum):
    """In which unit a server exports times."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"

    @property
    def seconds(self) -> float:
        """How many seconds one unit is."""
        return {"s": 1.0, "ms": 1e-3, "us": 1e-6}[self.value]


class Unit(StrEnum):
    """What a limit is a number of."""

    SHARE = "percentage"
    SECONDS = "duration"
    PLAIN = "number"


def unit_of(bound: Bound) -> Unit:
    """Return in which unit ``bound`` is written."""
    if bound.endswith("%"):
        return Unit.SHARE
    return Unit.PLAIN if bound[-1].isdigit() else Unit.SECONDS


def limit(bound: Bound) -> float:
    """Return ``bound`` as a share in [0, 1], in seconds, or as the number that it is."""
    unit = unit_of(bound)
    if unit is Unit.SHARE:
        return fraction(bound)
    return seconds(bound) if unit is Unit.SECONDS else float(bound)


def quantile(shorthand: Quantile) -> float:
    """Return ``shorthand`` as a probability in [0, 1)."""
    return float(f"{shorthand.removeprefix('p')}e-2")


def say_seconds(value: float) -> str:
    """Return a duration of ``value`` seconds as a person would say it: ``250 ms``, ``4.2 s``."""
    if value < 1.0:
        return f"{value * 1000:.0f} ms"
    if value < _SAID_IN_MINUTES:
        return f"{value:.1f} s".replace(".0 s", " s")
    return f"{value / 60:.1f} min".replace(".0 min", " min")


def say_share(value: float) -> str:
    """Return a share in [0, 1] as a percentage with as many digits as it needs."""
    return f"{value * 100:.3g} %"
