"""How right the model was, from the truth that arrives late.

A default on a loan is known after months, a click after minutes. The truth about the newest
predictions is never a fair sample of it: what is known early differs from what is known late. So
only predictions count that are old enough for nearly all of their truth to have arrived.

Where the feedback names the cohort of its prediction, exactly the mature cohorts of the revision
count. Where it does not, the feedback of a window counts once the revision has served for longer
than the truth takes and the window lasts, as before that it speaks of the revision before.

A limit is broken only if chance alone hardly explains it: see :func:`upper_share`.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar, Final, Self

from backstop.core import promql
from backstop.core.cel import Part, cel
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    Selector,
    UnknownReason,
)
from backstop.core.measures.feedback import Feedback, Found, SquaredError, Truth
from backstop.core.measures.measure import Share, one_number, share_of, summed_increase
from backstop.core.presets.preset import Preset, demand
from backstop.core.samples import newest
from backstop.core.signals.rule import Asked, Rule, Subject
from backstop.core.statistics.wilson import upper_share
from backstop.core.tally import Tally
from backstop.core.units import (
    Decimal,
    Duration,
    LabelName,
    Percent,
    fraction,
    limit,
    say_share,
    seconds,
)

_KEPT_PART: Final = 60.0
"""An answer is good for the window divided by this: it can hardly change sooner."""

_KURTOSIS: Final = 6.0
"""That of the Laplace distribution. Errors of regressions have heavier tails than the normal one,
so the mean of their squares varies more than that of normal errors would."""


class Proxy(Part):
    """A share that is known at once and moves with the truth, such as clicks per recommendation."""

    part: Selector
    """Selector of the counter of those events whose share is meant, for example clicks."""

    whole: Selector
    """Selector of the counter of all events, for example recommendations shown."""

    min: Percent
    """The smallest healthy share."""


_MEASURES: Final = ("accuracy", "precision", "recall", "rmse")


@cel(
    "self.confidence.matches('^[5-9][0-9]')",
    "confidence must be at least 50% and below 100%",
    lambda self: 0.5 <= fraction(self.confidence) < 1.0,  # noqa: PLR2004 (said in the message)
)
@cel(
    "has(self.rmse) == has(self.max)",
    'rmse needs max, a number in quotes, for example max: "12.5"; the other measures have none',
    lambda self: (self.rmse is None) == (self.max is None),
)
@cel(
    "has(self.rmse) != has(self.min)",
    "accuracy, precision and recall need min, for example min: 95%; rmse has none",
    lambda self: (self.rmse is None) != (self.min is None),
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _MEASURES) + " == 1",
    f"performance needs exactly one of {', '.join(_MEASURES)}",
    lambda self: sum(getattr(self, name) is not None for name in _MEASURES) == 1,
)
class Performance(Rule):
    """How right the model was, from truth that arrives late."""

    KIND: ClassVar[str] = "performance"
    WINDOW: ClassVar[str] = "1d"
    SAMPLES: ClassVar[int] = 200

    accuracy: Feedback | None = None
    """Predictions that were right, per prediction."""

    precision: Feedback | None = None
    """True positives per positive prediction."""

    recall: Feedback | None = None
    """True positives per case that is truly positive."""

    rmse: SquaredError | None = None
    """Root of the mean squared error of a regression."""

    min: Percent | None = None
    """The smallest healthy accuracy, precision or recall."""

    max: Decimal | None = None
    """The largest healthy root mean squared error, in the unit of the prediction."""

    mature_after: Duration
    """How old a prediction must be before its truth counts: the time within which 95 of 100 truths
    arrive."""

    cohort_label: LabelName | None = None
    """Label of the feedback with the time at which the cohort of the prediction began, in RFC 3339
    or Unix seconds. Round it, to an hour for example: each value is a series of its own."""

    coverage: Percent | None = None
    """The smallest share of predictions whose truth must be known; below it there is no verdict."""

    predictions: Selector | None = None
    """Selector of the counter of predictions, for `coverage`. A preset knows it."""

    proxy: Proxy | None = None
    """What is judged while there is no mature truth."""

    confidence: Percent = "95%"
    """How sure it must be that the limit is broken."""

    @property
    def pillar(self) -> Pillar | None:
        """The model; see :attr:`Rule.pillar`."""
        return Pillar.MODEL

    @property
    def field(self) -> str:
        """The name of the field that says what is measured."""
        return next(name for name in _MEASURES if getattr(self, name) is not None)

    @cached_property
    def mature(self) -> float:
        """How old a prediction must be, in seconds."""
        return seconds(self.mature_after)

    @cached_property
    def sure(self) -> float:
        """How sure it must be that the limit is broken, in [0.5, 1)."""
        return fraction(self.confidence)

    @property
    def feedback(self) -> Feedback | SquaredError:
        """What is counted."""
        found: Feedback | SquaredError = getattr(self, self.field)
        return found

    def settles(self, _window: float) -> float:
        """Return 0: truth and proxy wait differently, and each says for what."""
        return 0.0

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's counters; see :meth:`Rule.resolved`."""
        changes: dict[str, object] = {self.field: self.feedback.resolved(preset)}
        if self.coverage is not None and self.predictions is None:
            made = demand(preset, "predictions", lambda known: known.predictions)
            changes["predictions"] = made.counter
        return self.model_copy(update=changes)

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return what is known of the truth, and the proxy; see :meth:`Rule.questions`."""
        labels, recent = subject.labels, promql.duration(window)
        asked = {
            role: self._truth(selector, label, labels, window)
            for role, (selector, label) in self.feedback.counters.items()
        }
        if self.coverage is not None:
            shifted = f"offset {self.mature_after}"
            asked["predictions"] = summed_increase(self.predictions or "", labels, recent, shifted)
        if self.proxy is not None:
            asked["part"] = summed_increase(self.proxy.part, labels, recent, "")
            asked["whole"] = summed_increase(self.proxy.whole, labels, recent, "")
        return {role: Question(text, window / _KEPT_PART) for role, text in asked.items()}

    def _truth(self, selector: str, label: str, labels: Mapping[str, str], window: float) -> str:
        if self.cohort_label is None:
            return summed_increase(selector, labels, promql.duration(window), "", by=label)
        # A counter of a cohort is born with it, often with all of its events at once, of which an
        # increase misses the first; the highest value misses those before a reset. The larger one
        # is the better count.
        promql.require_selector(selector)
        seen = f"{promql.confine(selector, labels)}[{promql.duration(window + self.mature)}]"
        by = ", ".join(filter(None, (label, self.cohort_label)))
        larger = f"increase({seen}) > max_over_time({seen}) or max_over_time({seen})"
        return f"sum by ({by}) ({larger})"

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return what the mature truth says, or else the proxy; see :meth:`Rule.measure`."""
        known = self._known(asked)
        if not isinstance(known, Missing):
            return self._judge(known)
        if self.proxy is None or known.reason is UnknownReason.BAD_QUERY:
            return known
        return self._judge_proxy(self.proxy, known, asked)

    def _known(self, asked: Asked) -> Truth | Missing:
        """Return the mature truth about the revision, if enough of it is known."""
        began = max(asked.since, asked.subject.changed or -math.inf)
        chosen = (
            self._of_the_window(asked, began)
            if self.cohort_label is None
            else self._of_mature_cohorts(asked, began, self.cohort_label)
        )
        if isinstance(chosen, Missing):
            return chosen
        counted = self._count(chosen)
        if isinstance(counted, Missing) or self.coverage is None:
            return counted
        share = share_of(counted.truths, one_number(asked.answers["predictions"]), "predictions")
        if isinstance(share, Missing):
            return Missing(share.reason, f"nobody knows how much truth is missing: {share.why}")
        if share.value < fraction(self.coverage):
            counts = f"{share.part:,.0f} of {share.whole:,.0f}"
            said = f"truth is known of {say_share(share.value)} of predictions ({counts})"
            return Missing(UnknownReason.INSUFFICIENT_DATA, f"{said}, need {self.coverage}")
        return counted

    def _of_the_window(self, asked: Asked, began: float) -> Found | Missing:
        ready = began + asked.window + self.mature
        if _answered_at(asked) < ready:
            return _waiting(ready, "the window holds feedback about what served before")
        found = {role: asked.answers[role] for role in self.feedback.counters}
        return found if any(found.values()) else _SILENT

    def _of_mature_cohorts(self, asked: Asked, began: float, label: str) -> Found | Missing:
        found = {role: asked.answers[role] for role in self.feedback.counters}
        if not any(found.values()):
            return _SILENT
        starts = {
            text: _time(text)
            for series in found.values()
            for text in (one.labels.get(label, "") for one in series)
        }
        if all(map(math.isnan, starts.values())):
            why = f"no value of the label {label} is a time in RFC 3339 or Unix seconds"
            return Missing(UnknownReason.BAD_QUERY, f"{why}, such as {min(starts)[:40]!r}")
        last = _answered_at(asked) - self.mature
        if last < began:
            why = "no cohort of what serves is old enough for its truth"
            return _waiting(began + self.mature, why)
        first = max(began, last - asked.window)
        mature = {text for text, start in starts.items() if first <= start <= last}
        if not mature:
            why = f"no cohort of the window is {self.mature_after} old"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        return {
            role: [one for one in series if one.labels.get(label, "") in mature]
            for role, series in found.items()
        }

    def _count(self, found: Found) -> Truth | Missing:
        feedback = self.feedback
        if isinstance(feedback, SquaredError):
            return feedback.counted(found)
        return feedback.count(self.field, found)

    def _judge(self, truth: Truth) -> Measurement:
        after = f"truth after {self.mature_after}"
        if self.min is None:
            return self._judge_rmse(truth, after)
        share = Share(truth.part, truth.whole)
        breached, said = self._hold(share, self.min)
        return Measurement(
            share.value, breached, f"{self.field} {said}, {after}", samples=share.whole
        )

    def _judge_rmse(self, truth: Truth, after: str) -> Measurement:
        value = math.sqrt(truth.part / truth.whole)
        # The variance of a mean of n squares is (kurtosis - 1) / n times its own square.
        spread = NormalDist().inv_cdf(self.sure) * math.sqrt((_KURTOSIS - 1.0) / truth.whole)
        least = value / math.sqrt(1.0 + spread)
        why = (
            f"rmse {value:.4g} (over {truth.whole:,.0f}; at least {least:.4g} with"
            f" {self.confidence} confidence), allowed at most {self.max}, {after}"
        )
        return Measurement(value, least > limit(self.max or "0"), why, samples=truth.whole)

    def _judge_proxy(self, proxy: Proxy, truth: Missing, asked: Asked) -> Measured:
        ready = asked.since + asked.window
        if _answered_at(asked) < ready:
            waiting = _waiting(ready, "the proxy still looks back over the last action")
            return Missing(waiting.reason, f"{truth.why}; {waiting.why}")
        part, whole = (one_number(asked.answers[role]) for role in ("part", "whole"))
        share = share_of(part, whole, "proxy events")
        if isinstance(share, Missing):
            return Missing(share.reason, f"{truth.why}; {share.why}")
        breached, said = self._hold(share, proxy.min)
        why = f"proxy {said}; judged by the proxy, as there is no mature truth: {truth.why}"
        return Measurement(share.value, breached, why, samples=share.whole)

    def _hold(self, share: Share, least: Percent) -> tuple[bool, str]:
        """Return whether ``share`` is surely below ``least``, and both in words."""
        most = upper_share(share.part, share.whole, self.sure)
        counts = f"{share.part:,.0f} of {share.whole:,.0f}"
        bound = f"at most {say_share(most)} with {self.confidence} confidence"
        said = f"{say_share(share.value)} ({counts}; {bound}), allowed at least {least}"
        return most < fraction(least), said


_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Later times have no calendar."""

_SILENT: Final = Missing(UnknownReason.NO_DATA, "no series of feedback")


def _answered_at(asked: Asked) -> float:
    """Return the Unix time that the answers are of: kept ones may be older than the look."""
    found = newest(series for role in asked.answers.values() for series in role)
    return asked.now if found is None else min(found, asked.now)


def _time(text: str) -> float:
    """Return the Unix time that ``text`` is, ``nan`` where it is none; without a zone it is UTC."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _waiting(until: float, why: str) -> Missing:
    if until >= _LAST:
        return Missing(UnknownReason.WARMING_UP, why)
    said = datetime.fromtimestamp(until, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Missing(UnknownReason.WARMING_UP, f"{why}; there can be a verdict from {said} on")
