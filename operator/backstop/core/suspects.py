"""What the samples behind a breach tell beside it: the one bad pod, and how the other arm does.

Asked only about signals that are breached, which few are, of the raw samples that the look already
has. A pod is named only if the others, without it, hold the limit, and demonstrably do better.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from backstop.api.words import Finding
from backstop.core.flat import Floats
from backstop.core.measures.latency import Latency
from backstop.core.measures.measure import EventMeasure
from backstop.core.samples import Series, Target
from backstop.core.signals.resource import Resource
from backstop.core.signals.rule import Rule
from backstop.core.signals.threshold import Threshold
from backstop.core.statistics.chernoff import divergence
from backstop.core.statistics.split import leave_one_out
from backstop.core.tally import Answers, tally
from backstop.core.units import quantile
from backstop.core.verdicts import Beside

_MOST: Final = 0.5
"""The share of the events that the one pod must exceed."""

_RISK: Final = 0.05
"""How often the others may look better than the pod by chance alone."""

_GONE: Final = 2.5
"""A pod that was not scraped for so many intervals is gone."""

_LAST: Final = 1.5
"""So many intervals before the breach was seen, every pod has a scrape to count from."""

_SEVERAL: Final = 2
"""A pod that has no other beside it cannot be the one that is worse."""

_LATENCIES: Final = ("latency", "latency_quantile", "latency_mean")


def shows(rule: Rule) -> Finding | None:
    """Return what a breach of ``rule`` is a finding of, ``None`` for most kinds."""
    if isinstance(rule, Resource):
        return Finding.SATURATED if rule.throughput is None else None
    slow = any(getattr(rule, field, None) is not None for field in _LATENCIES)
    return Finding.SLOW if slow else None


class Arrived(NamedTuple):
    """The raw samples of one arm by role, of which those from Unix time ``since`` on count."""

    answers: Answers
    since: float


def suspect(rule: Rule, broken: Arrived, seen: float, value: float = math.inf) -> str | None:
    """Return the name of the one pod that carries most of a breach of ``rule``.

    The limit was first seen to be broken at Unix time ``seen``; of two limits, ``value`` tells
    which one. It is ``""`` where no single pod does, or where that cannot be told yet, and ``None``
    where ``rule`` cannot tell pods apart.
    """
    held = _held(rule, value)
    return None if held is None else _suspect(held, broken, seen)


class _Held(NamedTuple):
    """What is counted, and up to which share of it is ``tolerated``.

    Where the smallest healthy share is broken, it is the events that are missing, and ``fewer`` of
    what is measured are worse.
    """

    measure: EventMeasure
    tolerated: float
    fewer: bool


def _held(rule: Rule, value: float) -> _Held | None:
    """Return the limit that ``value`` breaks as one on a share of events, if it is one.

    Shares of events add up over pods.
    """
    if not isinstance(rule, Threshold):
        return None
    measure, (low, high) = rule.measure_of, rule.limits
    if isinstance(measure, EventMeasure):
        fewer = high == math.inf or value < low
        return _Held(measure, 1.0 - low if fewer else high, fewer)
    known = rule.latency_quantile
    if known is None or rule.max is None or value < low:
        return None
    # A quantile is below a bound just if all but so many of the requests are.
    slower = Latency(above=rule.max, buckets=known.buckets, unit=known.unit)
    return _Held(slower, 1.0 - quantile(known.quantile), fewer=False)


class _Pods(NamedTuple):
    """The pods that had traffic, and how many of how many events of each broke the limit.

    ``latest`` is the Unix time of the last scrape of each, ``interval`` that between scrapes in
    seconds.
    """

    targets: Sequence[Target]
    events: Floats
    totals: Floats
    latest: Floats
    interval: float


def _suspect(held: _Held, broken: Arrived, seen: float) -> str:
    pods = _counted(held, broken)
    if len(pods.targets) < _SEVERAL or (pods.latest < seen).any():
        # A fault of all pods is seen first of the one that is scraped first.
        return ""
    one = leave_one_out(pods.events, pods.totals, held.tolerated, _RISK)
    if one is None or pods.events[one] <= _MOST * pods.events.sum():
        return ""
    # What the others did before the fault says nothing for them.
    recent = _counted(held, broken, since=seen - _LAST * pods.interval)
    target = pods.targets[one]
    if target not in recent.targets or not _is_worse(recent, target, held.tolerated):
        return ""
    return _name(target)


def beside(
    rule: Rule, broken: Arrived, held: Arrived, seen: float, value: float = math.inf
) -> Beside | None:
    """Return how an arm does that holds ``rule``, since the other was ``seen`` to break it.

    ``value`` is that of the other, and tells which of two limits it breaks. It is ``None`` where
    ``rule`` counts no events.
    """
    limit = _held(rule, value)
    if limit is None:
        return None
    ours, theirs = (_counted(limit, one, since=seen) for one in (held, broken))
    events, total = ours.events.sum(), ours.totals.sum()
    if not total:
        return Beside.OPEN
    if events > limit.tolerated * total:
        return Beside.ALIKE
    bad, whole = theirs.events.sum(), theirs.totals.sum()
    return Beside.BETTER if whole and _is_better(events, total, bad / whole) else Beside.OPEN


def _is_better(events: np.float64, total: np.float64, rate: np.float64) -> bool:
    """Return whether at ``rate`` there would by chance hardly be so few events."""
    if events >= rate * total:
        return False
    return math.exp(-total * float(divergence(events / total, rate))) <= _RISK


def _is_worse(pods: _Pods, target: Target, tolerated: float) -> bool:
    """Return whether the other pods hold the limit and are better than by chance."""
    one = pods.targets.index(target)
    rate = pods.events[one] / pods.totals[one]
    events, others = np.delete(pods.events, one).sum(), np.delete(pods.totals, one).sum()
    return events <= tolerated * others and _is_better(events, others, rate)


def _counted(held: _Held, arrived: Arrived, since: float = -math.inf) -> _Pods:
    answers, since = arrived.answers, max(since, arrived.since)
    targets = sorted({one.target for found in answers.values() for one in found})
    t = tally([_of(target, answers) for target in targets], [since] * len(targets))
    bounds = np.full(len(targets), held.measure.bound)
    part, whole = held.measure.count_all(bounds, np.arange(len(targets)), t)
    known = np.flatnonzero(np.isfinite(whole))
    behind = t.latest[known].max(initial=-math.inf) - t.latest[known]
    there = known[behind <= _GONE * t.interval[known]]
    events = whole - part if held.fewer else part
    return _Pods(
        [targets[place] for place in there.tolist()],
        events[there],
        whole[there],
        t.latest[there],
        float(t.interval[there].max(initial=0.0)),
    )


def _of(target: Target, answers: Answers) -> dict[str, list[Series]]:
    return {role: [one for one in found if one.target == target] for role, found in answers.items()}


def _name(target: Target) -> str:
    """Return the name of a pod, or its address where no label names it."""
    _, instance, _, pod = target
    return pod or instance
