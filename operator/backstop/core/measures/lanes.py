"""What two versions are compared by: lanes of counts.

Errors are one lane, a histogram one for each edge. A lane counts all events and certain ones among
them, for each version. The same edge is used for both versions and for all their pods; where they
have different buckets there is no comparison.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import Field

from backstop.core.measurement import Missing, Question, Selector, UnknownReason, raw_samples
from backstop.core.measures.measure import Components, Measure
from backstop.core.measures.shares import CounterShare
from backstop.core.presets.preset import Preset, demand
from backstop.core.samples import Series, Target, edge_of
from backstop.core.tally import Answers
from backstop.core.units import Decimal, Duration, TimeUnit, Unit, say_seconds, seconds

_SAME = 1.0 - 1e-9
"""Edges that are given in milliseconds are equal to a bound but for rounding."""


class Lane(NamedTuple):
    """One pair of counts: what its events are called, and the counters of both versions.

    More of the events are worse, or ``fewer`` are.
    """

    noun: str
    candidate: Components
    stable: Components
    fewer: bool = False


def counter_lanes(
    measure: CounterShare, candidate: Answers, stable: Answers
) -> list[Lane] | Missing:
    """Return the lanes of ``measure``, or why the versions cannot be compared.

    Successes are two lanes: where nearly all attempts succeed, it is failures that multiply; where
    few do, such as orders per visit, failures hardly can, and it is successes that vanish.
    """
    ours, theirs = measure.components(candidate), measure.components(stable)
    if isinstance(ours, Missing):
        return Missing(ours.reason, f"{ours.why} on the candidate")
    if isinstance(theirs, Missing):
        return Missing(theirs.reason, f"{theirs.why} on stable")
    lane = Lane(measure.bad_noun, ours, theirs)
    if ours.good is None or theirs.good is None:
        return [lane]
    made, beside = Components(ours.whole, bad=ours.good), Components(theirs.whole, bad=theirs.good)
    return [lane, Lane(measure.PART_NOUN, made, beside, fewer=True)]


class Edges(Measure):
    """Counts beyond some edges of a histogram."""

    @abstractmethod
    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the buckets; see :meth:`Measure.questions`."""

    @abstractmethod
    def lanes(self, candidate: Answers, stable: Answers) -> list[Lane] | Missing:
        """Return a lane for each edge, or two, or why the versions cannot be compared."""


class LatencyEdges(Edges):
    """Requests slower than each of some bounds."""

    UNIT = Unit.SHARE

    above: Annotated[list[Duration], Field(min_length=1, max_length=3)]
    """What counts as slow: one to three edges of buckets, for example `[100ms, 250ms]`. Evidence is
    the mean over them, so that both a general slowdown and a slow tail are found."""

    buckets: Selector | None = None
    """Selector of the bucket counters. A preset knows them."""

    unit: TimeUnit = TimeUnit.SECONDS
    """In which unit the edges of the buckets are."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's buckets; see :meth:`Measure.resolved`."""
        if self.buckets is not None:
            return self
        known = demand(preset, "latency", lambda known: known.latency)
        return self.model_copy(update={"buckets": known.selector, "unit": known.unit})

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the buckets; see :meth:`Measure.questions`."""
        return {"buckets": raw_samples(self.buckets or "", labels, window)}

    def lanes(self, candidate: Answers, stable: Answers) -> list[Lane] | Missing:
        """Return a lane for each bound; see :meth:`Edges.lanes`."""
        found: list[Lane] = []
        for bound in self.above:
            noun = f"requests slower than {say_seconds(seconds(bound))}"
            wanted = seconds(bound) / self.unit.seconds
            pair = _pair(candidate["buckets"], stable["buckets"], wanted, noun)
            if isinstance(pair, Missing):
                return pair
            ours, theirs = pair
            found.append(Lane(noun, ours.above, theirs.above))
        return found


class Distribution(Edges):
    """Values, such as prediction scores, on either side of some edges."""

    UNIT = Unit.SHARE

    buckets: Selector | None = None
    """Selector of the bucket counters, for example `model_prediction_score_bucket`. A preset knows
    them."""

    edges: Annotated[list[Decimal], Field(min_length=1, max_length=2)] = ["0.25", "0.75"]  # noqa: RUF012 - pydantic copies it
    """Where the distribution is cut, at edges of buckets: more values above or below each of them
    are evidence."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return the measure with the preset's buckets; see :meth:`Measure.resolved`."""
        if self.buckets is not None:
            return self
        known = demand(preset, "scores", lambda known: known.scores)
        return self.model_copy(update={"buckets": known.selector})

    def questions(self, labels: Mapping[str, str], window: float) -> Mapping[str, Question]:
        """Return the raw samples of the buckets; see :meth:`Measure.questions`."""
        return {"buckets": raw_samples(self.buckets or "", labels, window)}

    def lanes(self, candidate: Answers, stable: Answers) -> list[Lane] | Missing:
        """Return two lanes for each edge; see :meth:`Edges.lanes`."""
        found: list[Lane] = []
        for edge in self.edges:
            noun = f"values above {edge}"
            pair = _pair(candidate["buckets"], stable["buckets"], float(edge), noun)
            if isinstance(pair, Missing):
                return pair
            ours, theirs = pair
            found.append(Lane(noun, ours.above, theirs.above))
            found.append(Lane(f"values up to {edge}", ours.below, theirs.below))
        return found


class _Side(NamedTuple):
    """The counters of one version above and up to an edge."""

    above: Components
    below: Components


def _pair(
    candidate: Sequence[Series], stable: Sequence[Series], bound: float, noun: str
) -> tuple[_Side, _Side] | Missing:
    """Return the counters of both versions at the smallest edge that is at least ``bound``."""
    for name, found in (("the candidate", candidate), ("stable", stable)):
        if not found:
            return Missing(UnknownReason.NO_DATA, f"no buckets on {name}")
    edges = {edge_of(one) for one in (*candidate, *stable)}
    chosen = min((e for e in edges if bound * _SAME <= e < math.inf), default=None)
    if chosen is None:
        return Missing(UnknownReason.BAD_QUERY, f"no bucket tells {noun}; choose a smaller edge")
    ours, theirs = _side(candidate, chosen), _side(stable, chosen)
    if ours is None or theirs is None:
        why = (
            "the buckets differ between candidate and stable, or between pods or scrapes: not all"
            f" tell {noun}"
        )
        return Missing(UnknownReason.BAD_QUERY, why)
    return ours, theirs


def _side(buckets: Sequence[Series], edge: float) -> _Side | None:
    """Return the counters of all pods, ``None`` unless all scrapes hold ``edge`` and ``+Inf``."""
    at = [one for one in buckets if edge_of(one) == edge]
    whole = [one for one in buckets if edge_of(one) == math.inf]
    held = _samples(at)
    if held != _samples(whole) or held.keys() != _samples(buckets).keys():
        return None
    return _Side(Components(whole, good=at), Components(whole, bad=at))


def _samples(found: Sequence[Series]) -> Counter[Target]:
    """Return how many samples there are by scrape target."""
    counted: Counter[Target] = Counter()
    for one in found:
        counted[one.target] += one.times.size
    return counted
