"""How fast a service level objective uses up its error budget, over a long and a short window.

The budget is what the objective leaves: 0.1 % of events over 30 days for 99.9 %. A burn rate of 1
uses it up exactly in the period. A pair of windows burns when both do: the long one proves that
enough of the budget is gone, the short one that it still goes. The defaults are those of the Site
Reliability Workbook, chapter 5: a person is called when 2 % of the budget went in an hour or 5 % in
six, and a ticket is written when 10 % went in one day or in three.

The windows are too long for raw samples, so the source computes the increases itself.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, ClassVar, Final, NamedTuple, Self

from pydantic import Field

from backstop.core.cel import Part, cel
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    UnknownReason,
)
from backstop.core.measures.latency import Latency
from backstop.core.measures.measure import EventMeasure, Share
from backstop.core.measures.shares import Errors, Success
from backstop.core.presets.preset import Preset
from backstop.core.promql import PromqlError
from backstop.core.samples import Series, newest
from backstop.core.signals.rule import Asked, OnBreach, Rule, Subject
from backstop.core.tally import Tally
from backstop.core.units import (
    Decimal,
    Duration,
    Percent,
    fraction,
    limit,
    say_seconds,
    say_share,
    seconds,
)

_ROUNDED: Final = 1.0 - 1e-9
"""A burn rate is a quotient of floats; one that equals its factor but for rounding counts."""

_KEPT_PART: Final = 60.0
"""An answer is good for its window divided by this: it can hardly change sooner."""

_BUSY: Final = (UnknownReason.INSUFFICIENT_DATA, UnknownReason.WARMING_UP)
"""Reasons for which one pair of windows may have no say while another has."""


class Windows(StrEnum):
    """Which pairs of windows are watched, by what a breach is worth."""

    PAGE = "Page"
    """14.4 times over 1h and 5m, or 6 times over 6h and 30m."""

    TICKET = "Ticket"
    """3 times over 1d and 2h, or 1 time over 3d and 6h."""


@cel(
    "double(self.factor) >= 1.0",
    'factor must be at least 1: a slower burn leaves a part of the budget, for example "14.4"',
    lambda self: limit(self.factor) >= 1.0,
)
class Pair(Part):
    """A long and a short window, and how fast the budget may burn in both."""

    long: Duration
    """The window that proves how much of the budget is gone."""

    short: Duration
    """The window that proves that it still goes; a twelfth of the long one is usual."""

    factor: Decimal
    """The burn rate at which the pair breaks, for example `"14.4"`."""


class _Window(NamedTuple):
    """One pair in force: both windows as written, the factor, and the share that it allows."""

    long: Duration
    short: Duration
    factor: float
    allowed: float


class _Burn(NamedTuple):
    """What a pair was found to burn: the shares of bad events over both of its windows."""

    window: _Window
    long: Share
    short: Share

    @property
    def share(self) -> float:
        """What both windows reach."""
        return min(self.long.value, self.short.value)

    @property
    def breached(self) -> bool:
        """Whether both windows reach what the pair allows."""
        return self.share >= self.window.allowed * _ROUNDED


class _Shares(NamedTuple):
    """A share of the budget that went in a long window, by the windows and the share."""

    long: Duration
    short: Duration
    budget: float


_BUDGETS: Final = {
    Windows.PAGE: (_Shares("1h", "5m", 0.02), _Shares("6h", "30m", 0.05)),
    Windows.TICKET: (_Shares("1d", "2h", 0.10), _Shares("3d", "6h", 0.10)),
}

_MEASURES: Final = ("errors", "latency", "success")


@cel(
    "!self.objective.matches('^(100|0{1,2}([.]0+)?)%$')",
    "objective must be above 0% and below 100%: at 100% there is no budget to burn",
    lambda self: 0.0 < fraction(self.objective) < 1.0,
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _MEASURES) + " == 1",
    f"a burn rate needs exactly one of {', '.join(_MEASURES)}",
    lambda self: sum(getattr(self, name) is not None for name in _MEASURES) == 1,
)
class BurnRate(Rule):
    """A service level objective, and how fast its error budget may be used up."""

    KIND: ClassVar[str] = "burnRate"
    WINDOW: ClassVar[str] = "5m"
    SAMPLES: ClassVar[int] = 0
    PERSISTENCE: ClassVar[tuple[int, int]] = (1, 1)

    errors: Errors | None = None
    """Failed requests use up the budget."""

    latency: Latency | None = None
    """Requests slower than a bound use up the budget."""

    success: Success | None = None
    """Attempts without success use up the budget."""

    objective: Percent
    """The share of events that must be good over the period, for example `99.9%`."""

    period: Duration = "30d"
    """Over how long the objective holds. The factors of `windows` grow with it, so that the same
    share of the budget is gone when they break."""

    windows: Windows = Windows.PAGE
    """`Page`: two pairs for a fast burn, which leads to action. `Ticket`: two pairs for a slow one,
    which is reported only, unless the signal says `onBreach: Act`."""

    min_events: Annotated[int, Field(ge=0, le=1_000_000_000)] = 10
    """A pair with fewer events in its short window has no say: one error among three must not call
    anybody."""

    pairs: Annotated[list[Pair], Field(min_length=1, max_length=4)] | None = None
    """Pairs of windows of your own, in place of those of `windows`."""

    @property
    def measure_of(self) -> EventMeasure:
        """What is measured."""
        found: EventMeasure = next(
            one for one in (self.errors, self.latency, self.success) if one is not None
        )
        return found

    @property
    def pillar(self) -> Pillar | None:
        """The pillar of the measure; see :attr:`Rule.pillar`."""
        return self.measure_of.PILLAR

    @property
    def on_breach(self) -> OnBreach:
        """A slow burn is reported, a fast one acted upon; see :attr:`Rule.on_breach`."""
        return OnBreach.ACT if self.windows is Windows.PAGE else OnBreach.REPORT

    @cached_property
    def budget(self) -> float:
        """The share of events that may be bad, in (0, 1)."""
        return round(1.0 - fraction(self.objective), 6)

    @cached_property
    def watched(self) -> tuple[_Window, ...]:
        """The pairs in force, the fastest first."""
        if self.pairs is not None:
            written = [(one.long, one.short, limit(one.factor)) for one in self.pairs]
        else:
            period = seconds(self.period)
            written = [
                (one.long, one.short, one.budget * period / seconds(one.long))
                for one in _BUDGETS[self.windows]
            ]
        found = (_Window(*one, one[2] * self.budget) for one in written)
        return tuple(sorted(found, key=lambda one: seconds(one.short)))

    def settles(self, _window: float) -> float:
        """Return the shortest window; the other pairs wait for theirs when they are measured."""
        return seconds(self.watched[0].short)

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with its measure resolved; see :meth:`Rule.resolved`."""
        name = next(name for name in _MEASURES if getattr(self, name) is not None)
        return self.model_copy(update={name: self.measure_of.resolved(preset)})

    def questions(self, subject: Subject, _window: float) -> Mapping[str, Question]:
        """Return the increases over each window; see :meth:`Rule.questions`."""
        for one in self.watched:
            self._require_useful(one)
        windows = dict.fromkeys(duration for one in self.watched for duration in one[:2])
        return {
            _role(role, duration): Question(asked, seconds(duration) / _KEPT_PART)
            for duration in windows
            for role, asked in self.measure_of.aggregated(subject.labels, duration).items()
        }

    def _require_useful(self, one: _Window) -> None:
        if seconds(one.short) >= seconds(one.long):
            raise PromqlError(
                f"the short window {one.short!r} must be shorter than the long one, {one.long!r}"
            )
        if one.allowed > 1.0:
            raise PromqlError(
                f"{one.factor:.3g}x over {one.long} can never burn: {self.objective!r} leaves"
                f" {say_share(self.budget)}, and that many times it is more than all events;"
                " raise the objective, or write pairs with smaller factors"
            )

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return how fast the budget burns; see :meth:`Rule.measure`."""
        found = [self._burn(one, asked) for one in self.watched]
        burns = [one for one in found if isinstance(one, _Burn)]
        missing = [one for one in found if isinstance(one, Missing)]
        fastest = max(burns, key=lambda one: one.share / one.window.allowed, default=None)
        told = next((one for one in burns if one.breached), fastest)
        if told is not None and (told.breached or all(one.reason in _BUSY for one in missing)):
            value = told.share / self.budget
            return Measurement(value, told.breached, self._say(told), samples=told.short.whole)
        # What is wrong with the source or the query is worth more words than that there is little.
        return min(missing, key=lambda one: one.reason in _BUSY)

    def _burn(self, window: _Window, asked: Asked) -> _Burn | Missing:
        settled = asked.since + seconds(window.short)
        if _answered_at(asked, self._answers(asked, window.short)) < settled:
            why = f"the last {window.short} still hold what was before the last action"
            return Missing(UnknownReason.WARMING_UP, why)
        long, short = (self._bad(asked, duration) for duration in (window.long, window.short))
        if isinstance(short, Missing):
            return short
        if isinstance(long, Missing):
            return long
        if short.whole < self.min_events:
            why = f"{short.whole:,.0f} events in {window.short}, need {self.min_events}"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        return _Burn(window, long, short)

    def _answers(self, asked: Asked, duration: Duration) -> dict[str, Sequence[Series]]:
        behind = _role("", duration)
        return {
            role.removesuffix(behind): series
            for role, series in asked.answers.items()
            if role.endswith(behind)
        }

    def _bad(self, asked: Asked, duration: Duration) -> Share | Missing:
        share = self.measure_of.count_aggregated(self._answers(asked, duration))
        if isinstance(share, Missing):
            return Missing(share.reason, f"over {duration}: {share.why}")
        if self.measure_of.IS_BAD:
            return share
        return Share(share.whole - share.part, share.whole)

    def _say(self, burn: _Burn) -> str:
        window = burn.window
        return (
            f"burning {burn.share / self.budget:.3g}x: {self._noun}"
            f" {say_share(burn.long.value)} over {window.long} and"
            f" {say_share(burn.short.value)} over {window.short},"
            f" allowed {window.factor:.3g}x of {say_share(self.budget)}"
        )

    @property
    def _noun(self) -> str:
        if self.latency is not None:
            return f"slower than {say_seconds(seconds(self.latency.above))}"
        return "errors" if self.errors is not None else "attempts without success"


def _role(role: str, duration: Duration) -> str:
    return f"{role} over {duration}"


def _answered_at(asked: Asked, answers: Mapping[str, Sequence[Series]]) -> float:
    """Return the Unix time that ``answers`` are of: a kept one may be older than the look."""
    found = newest(series for role in answers.values() for series in role)
    return asked.now if found is None else min(found, asked.now)
