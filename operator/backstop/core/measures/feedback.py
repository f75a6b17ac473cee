"""What feedback says once the truth is known: outcomes of classifications, errors of regressions.

These are no measures that a limit can be held against at once: which feedback counts is for a
signal to say that knows when it is mature. Here it is only counted.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from backstop.core.cel import Part
from backstop.core.measurement import Missing, Selector, UnknownReason
from backstop.core.measures.measure import share_of
from backstop.core.presets.preset import Preset, demand
from backstop.core.samples import Series
from backstop.core.tally import MOST
from backstop.core.units import LabelName

_PLAIN: Final = ("correct", "incorrect")
_KNOWN: Final = (*_PLAIN, "tp", "fp", "fn", "tn")
_GOOD: Final = {"accuracy": ("tp", "tn"), "precision": ("tp",), "recall": ("tp",)}
_BAD: Final = {"accuracy": ("fp", "fn"), "precision": ("fp",), "recall": ("fn",)}
_EMPTY: Final = {
    "accuracy": "no truth",
    "precision": "no positive predictions with known truth",
    "recall": "no truly positive cases",
}

Found = Mapping[str, Sequence[Series]]
"""Increases by role, one value each."""


class Truth(NamedTuple):
    """What is known: good events or squared errors in ``part``, of the ``whole`` that matters.

    ``truths`` is how many predictions there are whose truth is known at all.
    """

    part: float
    whole: float
    truths: float


class Feedback(Part):
    """Outcomes of predictions whose truth is known."""

    feedback: Selector | None = None
    """Selector of the counter of outcomes, for example `model_feedback_total`. A preset knows it.
    Outcomes are `correct` and `incorrect` (for accuracy only), or `tp`, `fp`, `fn` and `tn`."""

    label: LabelName = "outcome"
    """The label that holds the outcome."""

    @property
    def counters(self) -> Mapping[str, tuple[str, str]]:
        """The selector by role, with the label that tells its series apart."""
        return {"outcomes": (self.feedback or "", self.label)}

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's counter where the spec leaves it to the preset.

        Raises:
            PresetError: the preset has no such counter, or there is no preset.
        """
        if self.feedback is not None:
            return self
        known = demand(preset, "feedback", lambda known: known.feedback)
        return self.model_copy(update={"feedback": known.counter, "label": known.label})

    def count(self, field: str, found: Found) -> Truth | Missing:
        """Return what ``field`` (accuracy, precision or recall) is.

        An outcome that is absent beside others is a zero.
        """
        outcomes: dict[str, float] = {}
        for series in found["outcomes"]:
            name = series.labels.get(self.label, "")
            if name in _KNOWN:
                outcomes[name] = outcomes.get(name, 0.0) + float(series.values[-1])
        if not outcomes:
            why = f"no value of the label {self.label} is one of {', '.join(_KNOWN)}"
            return Missing(UnknownReason.BAD_QUERY, why)
        if not all(0.0 <= one < MOST for one in outcomes.values()):
            return Missing(UnknownReason.NO_DATA, "the counters of feedback are not numbers")
        return _share(field, outcomes)


def _share(field: str, outcomes: Mapping[str, float]) -> Truth | Missing:
    plain = {name: n for name, n in outcomes.items() if name in _PLAIN}
    if field == "accuracy" and plain:
        good, bad = plain.get("correct", 0.0), plain.get("incorrect", 0.0)
        truths = good + bad
    elif len(plain) == len(outcomes):
        why = f"{field} needs the outcomes tp, fp and fn; there are only correct and incorrect"
        return Missing(UnknownReason.BAD_QUERY, why)
    else:
        good = sum(outcomes.get(name, 0.0) for name in _GOOD[field])
        bad = sum(outcomes.get(name, 0.0) for name in _BAD[field])
        truths = sum(n for name, n in outcomes.items() if name not in plain)
    if good + bad == 0.0:
        return Missing(UnknownReason.INSUFFICIENT_DATA, f"{_EMPTY[field]} in the window")
    share = share_of(good, good + bad, "feedback")
    return share if isinstance(share, Missing) else Truth(share.part, share.whole, truths)


class SquaredError(Part):
    """Squared errors of predictions whose truth is known."""

    total: Selector = "model_feedback_squared_error_sum"
    """Selector of the counter of the sum of squared errors."""

    count: Selector = "model_feedback_squared_error_count"
    """Selector of the counter of predictions in that sum."""

    @property
    def counters(self) -> Mapping[str, tuple[str, str]]:
        """The selectors by role; no label tells their series apart."""
        return {"total": (self.total, ""), "count": (self.count, "")}

    def resolved(self, _preset: Preset | None) -> Self:
        """Return this: the convention's names hold for every server."""
        return self

    def counted(self, found: Found) -> Truth | Missing:
        """Return the sum of squared errors and how many there are."""
        total, count = (
            sum(float(one.values[-1]) for one in found[role]) for role in ("total", "count")
        )
        if not (0.0 <= total < math.inf and 0.0 <= count < MOST):
            return Missing(UnknownReason.NO_DATA, "the counters of squared errors are not numbers")
        if not found["total"] or count < 1.0:
            return Missing(UnknownReason.INSUFFICIENT_DATA, "no truth in the window")
        return Truth(total, count, count)
