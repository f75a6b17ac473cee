"""The share of requests that failed."""

from typing import ClassVar

from backstop.core.signals.ratio import CounterRatio
from backstop.core.signals.rule import Pillar, Selector


class ErrorRatio(CounterRatio):
    """Failed requests per request, both from counters."""

    KIND: ClassVar[str] = "errorRatio"
    PILLAR: ClassVar[Pillar | None] = Pillar.SYSTEM
    PART: ClassVar[str] = "errors"
    WHOLE: ClassVar[str] = "requests"
    PART_NOUN: ClassVar[str] = "errors"
    WHOLE_NOUN: ClassVar[str] = "requests"

    requests: Selector
    """Selector of the counter of all requests, for example `model_requests_total`."""

    errors: Selector
    """Selector of the counter of failed ones, for example `model_requests_total{code=~"5.."}`."""
