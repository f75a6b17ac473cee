"""When people work on a model: weekly windows, and single ones."""

from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints

from backstop.api.base import ApiModel, Time
from backstop.core.cel import cel


class Day(StrEnum):
    """A day of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"{name!r} is not a time zone that is known here; write for example Europe/Berlin"
        ) from None
    return name


TimeOfDay = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)
]
"""Hours and minutes: ``02:30``."""

TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64),
    AfterValidator(_known_timezone),
]
"""A name of the time zone database."""


@cel(
    "(has(self.opens) && has(self.closes) && !has(self.begins) && !has(self.ends))"
    " || (has(self.begins) && has(self.ends) && !has(self.opens) && !has(self.closes))",
    "a maintenance window needs either opens and closes (each week) or begins and ends (once)",
    lambda self: (
        (self.opens is None) == (self.closes is None)
        and (self.begins is None) == (self.ends is None)
        and (self.opens is None) != (self.begins is None)
    ),
)
class MaintenanceWindow(ApiModel):
    """A weekly window (`days`, `opens`, `closes`), or a single one (`begins`, `ends`)."""

    days: Annotated[list[Day], Field(max_length=7)] = Field(default_factory=list)
    """Days on which it opens; without any, each day."""

    opens: TimeOfDay | None = None
    """When it opens, by the clock of the time zone."""

    closes: TimeOfDay | None = None
    """When it closes; earlier than `opens` means on the next day."""

    timezone: TimeZone = "UTC"
    """Time zone of `opens` and `closes`."""

    begins: Time | None = None
    """When a single window begins."""

    ends: Time | None = None
    """When a single window ends."""


__all__ = ["Day", "MaintenanceWindow"]
