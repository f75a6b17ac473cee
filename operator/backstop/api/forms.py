"""What the text types of a spec are called, and how a person writes them.

The API server knows these types only as patterns; here each pattern has words, for messages and for
the reference pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from backstop.api.maintenance import TimeOfDay, TimeZone
from backstop.api.modelmonitor import HeaderName
from backstop.api.runbook import CallWebhook
from backstop.core.units import (
    Bound,
    Decimal,
    DnsLabel,
    DnsName,
    Duration,
    LabelName,
    Percent,
    Quantile,
)


@dataclass(frozen=True, slots=True)
class Form:
    """``name`` is the type's short name, ``advice`` says how to write a value."""

    name: str
    advice: str


def _pattern(annotated: Any) -> str:
    return _pattern_in(annotated.__metadata__)


def _pattern_in(metadata: Iterable[Any]) -> str:
    # In the metadata of a model's field, the pattern stands in a value of another type.
    found = (getattr(one, "pattern", None) for one in metadata)
    return str(next(filter(None, found)))


_NAME: Final = "lower-case letters, digits and -, with a letter or digit at both ends"

FORMS: Final = {
    _pattern(Duration): Form(
        "duration", "a whole number and ms, s, m, h or d, for example 500ms, 30s or 5m"
    ),
    _pattern(Percent): Form("percentage", "a number from 0 to 100 and %, for example 5% or 0.25%"),
    _pattern(Quantile): Form("quantile", "p and a number below 100, for example p50, p95 or p99.9"),
    _pattern(Decimal): Form("number in quotes", 'for example "0.8", "-12" or "1e-3"'),
    _pattern(Bound): Form(
        "limit", 'a percentage (5%), a duration (250ms), or a number in quotes ("0.8")'
    ),
    _pattern(DnsLabel): Form("name", f"{_NAME}, at most 63 characters"),
    _pattern(DnsName): Form("object name", f"{_NAME}, dots between, at most 253 characters"),
    _pattern(LabelName): Form("label name", "letters, digits and _, without a digit in front"),
    _pattern(HeaderName): Form("header name", "letters, digits and -"),
    _pattern(TimeOfDay): Form(
        "time of day", 'hours and minutes in quotes, for example "02:30" or "18:00"'
    ),
    _pattern(TimeZone): Form("time zone", "UTC, or a place, for example Europe/Berlin"),
    _pattern_in(CallWebhook.model_fields["url"].metadata): Form(
        "URL", "http:// or https:// in front, for example https://tickets.example.com/new"
    ),
}
"""The forms by the pattern that the API server enforces."""
