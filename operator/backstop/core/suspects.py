"""Which single pod carries most of a breach, and what a breach of a signal shows by its kind.

Asked only about signals that are breached, which few are, of the raw samples that the look already
has. A pod is named only if the others, without it, hold the limit, and demonstrably do better.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from backstop.api.status import Finding
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

_MOST: Final = 0.5
"""The share of the events that the one pod must exceed."""

_RISK: Final = 0.05
"""How often the others may look better than the pod by chance alone."""

_SCRAPES: Final = 2.5
"""A pod that was not scraped for so many intervals is gone."""

_LATENCIES: Final = ("latency", "latency_quantile", "latency_mean")


def shows(rule: Rule) -> Finding | None:
    """Return what a breach of ``rule`` is a finding of, ``None`` for most kinds."""
    if isinstance(rule, Resource):
        return Finding.SATURATED if rule.throughput is None else None
    slow = any(getattr(rule, field, None) is not None for field in _LATENCIES)
    return Finding.SLOW if slow else None


def suspect(rule: Rule, answers: Answers, since: float) -> str | None:
    """Return the name of the one pod that carries most of a breach of ``rule``.

    ``answers`` are the raw samples by role, of which those from Unix time ``since`` on count. It is
    ``""`` where no single pod does, ``None`` where ``rule`` cannot tell pods apart.
    """
    if not isinstance(rule, Threshold):
        return None
    held = _held(rule)
    return None if held is None else _suspect(held, answers, since)


class _Held(NamedTuple):
    """What is counted, and the shares of it that are the smallest and the largest healthy ones."""

    measure: EventMeasure
    low: float
    high: float


def _held(rule: Threshold) -> _Held | None:
    """Return ``rule`` as limits of a share of events, which add up over pods."""
    measure = rule.measure_of
    if isinstance(measure, EventMeasure):
        return _Held(measure, *rule.limits)
    known = rule.latency_quantile
    if known is None or rule.max is None:
        return None
    # A quantile is below a bound just if all but so many of the requests are.
    slower = Latency(above=rule.max, buckets=known.buckets, unit=known.unit)
    return _Held(slower, -math.inf, 1.0 - quantile(known.quantile))


class _Pods(NamedTuple):
    """The pods that are still there and had traffic, and what each counted."""

    targets: Sequence[Target]
    part: Floats
    whole: Floats


def _suspect(held: _Held, answers: Answers, since: float) -> str:
    pods = _counted(held.measure, answers, since)
    low, high = held.low, held.high
    if pods.part.sum() < low * pods.whole.sum():
        return _alone(pods, pods.whole - pods.part, 1.0 - low)
    return _alone(pods, pods.part, high) if high < math.inf else ""


def _counted(measure: EventMeasure, answers: Answers, since: float) -> _Pods:
    targets = sorted({one.target for found in answers.values() for one in found})
    by_pod = [_of(target, answers) for target in targets]
    t = tally(by_pod, [since] * len(targets))
    part, whole = measure.count_all(
        np.full(len(targets), measure.bound), np.arange(len(targets)), t
    )
    scraped = t.latest
    gone = scraped < scraped.max(initial=-math.inf) - _SCRAPES * np.where(
        np.isfinite(t.interval), t.interval, 0.0
    )
    there = np.isfinite(whole) & ~gone
    return _Pods(
        [one for one, is_there in zip(targets, there, strict=True) if is_there],
        part[there],
        whole[there],
    )


def _of(target: Target, answers: Answers) -> dict[str, list[Series]]:
    return {role: [one for one in found if one.target == target] for role, found in answers.items()}


def _alone(pods: _Pods, events: Floats, tolerated: float) -> str:
    """Return the pod without which the others hold the rate ``tolerated``, or ``""``."""
    pod = leave_one_out(events, pods.whole, tolerated, _RISK)
    if pod is None or events[pod] <= _MOST * events.sum():
        return ""
    rate = events[pod] / pods.whole[pod]
    others = pods.whole.sum() - pods.whole[pod]
    beside = (events.sum() - events[pod]) / others
    if beside >= rate or math.exp(-others * float(divergence(beside, rate))) > _RISK:
        return ""
    return _name(pods.targets[pod])


def _name(target: Target) -> str:
    """Return the name of a pod, or its address where no label names it."""
    _, instance, _, pod = target
    return pod or instance
