"""Whether the two versions of a comparison can be held against each other, and the one bad pod.

A comparison presumes that the route splits requests at random by its weights, and that a version
fails as a whole. What contradicts that is no verdict about the version.
"""

import math
from dataclasses import replace
from typing import Final

import numpy as np

from backstop.core import evidence_state
from backstop.core.contest import Contest, by_pod
from backstop.core.evidence_state import EvidenceState, mark
from backstop.core.measurement import Missing, UnknownReason
from backstop.core.measures.measure import Components
from backstop.core.samples import Target
from backstop.core.statistics.sequential import log_evidence
from backstop.core.statistics.split import leave_one_out, suspicious
from backstop.core.units import say_share

_SPLIT_ALPHA: Final = 1e-4
"""How often a correct split may be called wrong in a trial."""

_SPLIT_OFF: Final = 1.25
"""By which factor the split must be wrong before that makes a comparison unfair."""

_SPLIT_STEPS: Final = 10
"""In fewer steps, one scrape more of one version than of the other looks like a wrong split."""


def name_of(pod: Target) -> str:
    """Return what people call a scrape target."""
    return pod[-1] or "/".join(filter(None, pod))


def pod_of(components: Components, left_out: float) -> Target | None:
    """Return the pod with this mark, if it is still there."""
    targets = {series.target for series in components.whole} if left_out else set()
    return next((pod for pod in targets if mark("/".join(pod)) == left_out), None)


def uneven_split(state: EvidenceState) -> Missing | None:
    """Return why the comparison is unfair, if the traffic is not split as the route says."""
    weight, total = state.weight, sum(state.routed)
    if not 0.0 < weight < 1.0 or total == 0.0 or state.routed_steps < _SPLIT_STEPS:
        return None
    weights = (weight, 1.0 - weight)
    shares = [routed / total for routed in state.routed]
    off = max(_factor(share, given) for share, given in zip(shares, weights, strict=True))
    if off < _SPLIT_OFF or not suspicious(state.routed, weights, _SPLIT_ALPHA):
        return None
    why = (
        f"the candidate answered {say_share(shares[0])} of requests where the route gives it"
        f" {say_share(weight)}: the versions do not get the same traffic, so they cannot be"
        " compared; look for retries, sessions or clients that pass the route by"
    )
    return Missing(UnknownReason.UNEVEN_SPLIT, why)


def _factor(share: float, given: float) -> float:
    return max(share / given, given / share) if share else math.inf


def accused(contest: Contest, state: EvidenceState, margin: float) -> Target | None:
    """Return the pod of the candidate that alone explains the evidence, if one does."""
    lane = int(np.argmax(log_evidence(state.worse)))
    pods = by_pod(contest.lanes[lane].candidate, contest.clock)
    stable = state.events[lane, 1] / max(state.stable, 1.0)
    if contest.lanes[lane].fewer:
        bad, tolerated = pods.totals - pods.events, 1.0 - stable / margin
    else:
        bad, tolerated = pods.events, stable * margin
    alone = leave_one_out(bad, pods.totals, tolerated)
    return None if alone is None else pods.targets[alone]


def leave_out(state: EvidenceState, pod: Target, at: float) -> EvidenceState:
    """Return the state of a test that begins anew at Unix time ``at``, without ``pod``."""
    fresh = evidence_state.begin(state.rule, len(state.events), at, state.weight)
    return replace(
        fresh,
        routed=state.routed,
        routed_steps=state.routed_steps,
        routed_from=state.routed_from,
        left_out=mark("/".join(pod)),
    )


def one_pod(contest: Contest, pod: Target, margin: float) -> Missing | None:
    """Return what to say of a pod that is left out, ``None`` if it is as good as stable again."""
    for lane in contest.lanes:
        pods = by_pod(lane.candidate, contest.clock)
        stable = by_pod(lane.stable, contest.clock)
        rate = stable.events.sum() / max(stable.totals.sum(), 1.0)
        place = pods.targets.index(pod)
        events, total = pods.events[place], pods.totals[place]
        bad = events * margin < rate * total if lane.fewer else events > margin * rate * total
        if bad:
            why = (
                f"one pod of the candidate, {name_of(pod)}, has {events:,.0f} of"
                f" {pods.events.sum():,.0f} {lane.noun} in {total:,.0f} of"
                f" {pods.totals.sum():,.0f}: it is left out; restart it"
            )
            return Missing(UnknownReason.ONE_POD, why)
    return None
