"""Whether the values that reach the model are usable: there, valid, in range, not sentinels.

Null values, a unit that changed, or a source that stopped show here before a model gets worse. All
features are checked at once. Values of a feature are those in its histogram, the missing ones and
the invalid ones, by the convention of docs/metrics.md.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from pydantic import Field

from backstop.core import promql
from backstop.core.cel import cel
from backstop.core.drifting import also, short
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    Selector,
    UnknownReason,
)
from backstop.core.measures.feature_counters import (
    FeatureCounters,
    OutOfRange,
    QualityReference,
    Sentinel,
)
from backstop.core.measures.features import Side, read_counts, read_histograms
from backstop.core.measures.measure import one_number, summed_increase
from backstop.core.measures.spans import spans_of, whole_of
from backstop.core.presets.preset import Preset, PresetError, demand
from backstop.core.quality import (
    Check,
    Findings,
    Values,
    out_of_range,
    sentinel,
    values_of,
)
from backstop.core.reference import Reference
from backstop.core.samples import newest
from backstop.core.signals.rule import Asked, Rule, Subject
from backstop.core.tally import Answers, Tally
from backstop.core.units import Duration, Percent, fraction, seconds

_KEPT_PART: Final = 10.0
"""An answer is good for its window divided by this."""

_PAST: Final = "past "
_STALE: Final = "stale "

_CHECKS: Final = ("missing", "invalid", "outOfRange", "sentinel", "schema", "stale")
_FIELDS: Final = {
    **{name: name for name in _CHECKS},
    "outOfRange": "out_of_range",
    "schema": "schema_",
}


def _has_check(self: Any) -> bool:
    return any(getattr(self, name) is not None for name in _FIELDS.values())


@cel(
    "!has(self.schema) || self.schema",
    "schema is true, or left out",
    lambda self: self.schema_ is not False,
)
@cel(
    "!has(self.sentinel) && !has(self.schema) || has(self.reference)",
    "sentinel and schema need a reference",
    lambda self: (self.sentinel is None and self.schema_ is None) or self.reference is not None,
)
@cel(
    " || ".join(f"has(self.{name})" for name in _CHECKS),
    f"dataQuality needs at least one of {', '.join(_CHECKS)}",
    _has_check,
)
class DataQuality(Rule):
    """The values of features: missing, invalid, out of range, sentinels, vanished or stale ones."""

    KIND: ClassVar[str] = "dataQuality"
    WINDOW: ClassVar[str] = "5m"

    features: FeatureCounters = Field(default_factory=FeatureCounters)
    """What is exported of features. A preset knows it."""

    reference: QualityReference | None = None
    """What is usual. `sentinel` and `schema` need one, and `missing` is held against it."""

    missing: Percent | None = None
    """The largest share of missing values; with a reference, by how much it may be above that of
    the reference."""

    invalid: Percent | None = None
    """The largest share of invalid values."""

    out_of_range: OutOfRange | None = None
    """Values that cannot be."""

    sentinel: Sentinel | None = None
    """A value that stands for "unknown" and becomes more frequent."""

    schema_: Annotated[bool | None, Field(alias="schema")] = None
    """`true`: a feature of the reference must not vanish, and no unknown one appear."""

    stale: Duration | None = None
    """The longest time in which a feature has no values while there are requests."""

    requests: Selector | None = None
    """Selector of the counter of requests, for `stale`. A preset knows it."""

    @property
    def pillar(self) -> Pillar | None:
        """The data; see :attr:`Rule.pillar`."""
        return Pillar.DATA

    @property
    def config_map(self) -> str | None:
        """The ConfigMap of the training data; see :attr:`Rule.config_map`."""
        return None if self.reference is None else self.reference.config_map

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's selectors; see :meth:`Rule.resolved`."""
        features = self.features.resolved(preset)
        for name in ("missing", "invalid"):
            if getattr(self, name) is not None and getattr(features, name) is None:
                raise PresetError(f"the check {name} needs the selector features.{name}")
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        if self.stale is not None and self.requests is None:
            fields["requests"] = demand(preset, "requests", lambda known: known.errors).whole
        return type(self).model_validate({**fields, "features": features})

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return how many values there are and were; see :meth:`Rule.questions`."""
        said, labels = promql.duration(window), subject.labels
        by_bucket = self.out_of_range is not None or self.sentinel is not None
        now = self.features.asks(labels, said, whole=by_bucket)
        asked = {role: Question(text, window / _KEPT_PART) for role, text in now.items()}
        if self.reference is not None and self.reference.past is not None:
            offset, by_bucket = f"offset {self.reference.past}", self.sentinel is not None
            before = self.features.asks(labels, said, offset, whole=by_bucket)
            asked |= {_PAST + role: Question(text, window) for role, text in before.items()}
        if self.stale is not None:
            lately = self.features.asks(labels, self.stale)
            lately["requests"] = summed_increase(self.requests or "", labels, self.stale, "")
            keep = seconds(self.stale) / _KEPT_PART
            asked |= {_STALE + role: Question(text, keep) for role, text in lately.items()}
        return asked

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return which features break a check; see :meth:`Rule.measure`."""
        seen = self._seen(asked.answers, "")
        if not seen.values.names:
            return Missing(UnknownReason.NO_DATA, "no series of features")
        usual = self._usual(asked)
        if isinstance(usual, Missing):
            return usual
        silent = self._silent(asked)
        enough = seen.values.all >= max(asked.least, 1)
        checks = self._checks(seen, usual)
        lists = {} if isinstance(silent, Missing) else {f"no values in {self.stale}": silent}
        if enough.any() and self.schema_ and usual is not None:
            lists |= self._changes(seen.values, usual)
        findings = Findings(seen.values, enough, checks, lists)
        if findings.bad:
            return _measured(findings, breached=True)
        missing = silent if isinstance(silent, Missing) else _untold(checks)
        if not enough.any():
            missing = _too_few(seen.values, max(asked.least, 1))
        return missing or _measured(findings, breached=False)

    def _seen(self, answers: Answers, when: str) -> "_Seen":
        """Return what was counted of each feature, with its buckets where they were asked for."""
        label, keeps = self.features.label, self.features.keeps
        valid, missing, invalid = (
            {
                name: count
                for name, count in read_counts(answers.get(when + role, ()), label).items()
                if keeps(name)
            }
            for role in ("values", "missing", "invalid")
        )
        answer = answers.get(when + "values", ())
        sides: dict[str, Side] = {}
        if any("le" in one.labels or one.buckets is not None for one in answer):
            found = read_histograms(answer, label, "").sides
            sides = {name: side for name, side in found.items() if keeps(name)}
            # What has no usable histogram has no usable number of values.
            valid = dict.fromkeys(valid, np.nan) | {n: whole_of(one) for n, one in sides.items()}
        return _Seen(values_of(valid, missing, invalid), sides)

    def _usual(self, asked: Asked) -> "_Usual | Missing | None":
        """Return what the reference says."""
        if self.reference is None:
            return None
        if self.reference.past is not None:
            seen, when = self._seen(asked.answers, _PAST), self.reference.past
            whole = seen.values.all.tolist()
            rows = [row for row, count in enumerate(whole) if count > 0.0]
            shares = {seen.values.names[row]: seen.values.missing[row] / whole[row] for row in rows}
            if not shares:
                why = f"nothing is known of features {when} ago"
                return Missing(UnknownReason.INSUFFICIENT_DATA, why)
            return _Usual(shares, seen.sides, {}, frozenset(shares), frozenset(shares))
        if isinstance(asked.reference, Reference):
            found = asked.reference
            numeric = frozenset(found.features)
            known = numeric | found.categories.keys()
            return _Usual(found.missing, found.features, found.sentinels, numeric, known)
        why = f"ConfigMap {self.reference.config_map} is not known"
        return asked.reference or Missing(UnknownReason.WARMING_UP, why)

    def _checks(self, seen: "_Seen", usual: "_Usual | None") -> list[Check]:
        values = seen.values
        everyone = values.all > 0.0
        found: list[Check] = []
        if self.missing is not None:
            before = {} if usual is None else usual.missing
            known = np.array([before.get(name, 0.0) for name in values.names], dtype=np.float64)
            limit = np.minimum(fraction(self.missing) + known, 1.0)
            found.append(Check(values.missing, values.all, limit, everyone, "missing"))
        if self.invalid is not None:
            limit = np.full(everyone.shape, fraction(self.invalid))
            found.append(Check(values.invalid, values.all, limit, everyone, "invalid"))
        spans = spans_of([seen.sides.get(name) for name in values.names])
        if self.out_of_range is not None:
            found += out_of_range(self.out_of_range, spans, values)
        if self.sentinel is not None and usual is not None:
            value, share = float(self.sentinel.value), fraction(self.sentinel.share)
            past = [(usual.sides.get(name), usual.sentinels.get(name, {})) for name in values.names]
            found.append(sentinel(value, share, spans, values, past))
        return found

    def _changes(self, values: Values, usual: "_Usual") -> dict[str, list[str]]:
        """Return which features vanished, and which nobody knows."""
        now = set(values.names)
        gone = [one for one in sorted(usual.numeric - now) if self.features.keeps(one)]
        counted = zip(values.names, values.all.tolist(), strict=True)
        strange = [name for name, count in counted if count > 0.0 and name not in usual.known]
        return {"vanished": gone, "not in the reference": strange}

    def _silent(self, asked: Asked) -> list[str] | Missing:
        """Return the features that have had no values for too long, though there are requests."""
        if self.stale is None:
            return []
        seen = self._seen(asked.answers, _STALE)
        requests = one_number(asked.answers[_STALE + "requests"])
        if not 0.0 <= requests < np.inf:
            return Missing(UnknownReason.NO_DATA, "no usable series of requests, for stale")
        answered = newest(one for found in asked.answers.values() for one in found) or asked.now
        if answered < asked.since + seconds(self.stale) or requests < max(asked.least, 1):
            return []
        counted = zip(seen.values.names, seen.values.all.tolist(), strict=True)
        return [name for name, count in counted if count == 0.0]


class _Seen(NamedTuple):
    """What was counted of each feature, and the histograms, where they were asked for."""

    values: Values
    sides: Mapping[str, Side]


class _Usual(NamedTuple):
    """What the reference says: the share of missing values, histograms, and sentinels by feature.

    ``numeric`` features have a histogram, ``known`` ones are in the reference at all.
    """

    missing: Mapping[str, float]
    sides: Mapping[str, Side]
    sentinels: Mapping[str, Mapping[float, float]]
    numeric: frozenset[str]
    known: frozenset[str]


def _measured(findings: Findings, *, breached: bool) -> Measurement:
    worst = findings.worst()
    value = float(len(findings.bad)) if worst is None else float(worst[0].share[worst[1]])
    whole = findings.values.all
    samples = float(np.where(np.isfinite(whole), whole, 0.0).max())
    return Measurement(value, breached, findings.say(), samples=samples)


def _untold(checks: Sequence[Check]) -> Missing | None:
    why = next((one.untold for one in checks if one.untold), "")
    return Missing(UnknownReason.BAD_QUERY, why) if why else None


def _too_few(values: Values, least: int) -> Missing:
    whole = values.all
    if np.isnan(whole).all():
        return Missing(UnknownReason.NO_DATA, "the counters of features are not numbers")
    best = int(np.nanargmax(whole))
    why = f"feature {short(values.names[best])}: {whole[best]:,.0f} values, need {least:,}"
    why += also(len(values.names) - 1, "others no better")
    return Missing(UnknownReason.INSUFFICIENT_DATA, why)
