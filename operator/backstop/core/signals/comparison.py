"""The candidate against the target that serves beside it, by a test that may look at any time.

Both versions answer under the same load and the same data, so what they share cancels out, and what
is left is the version. The test counts in fixed steps, pod by pod, and carries its evidence from
look to look; the probability that it ever calls a candidate worse that is not is at most ``alpha``,
however often it looks. The mirrored test proves that a candidate is not worse than a bound.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Final, NamedTuple, Self

import numpy as np
from pydantic import Field

from backstop.core import evidence_state
from backstop.core.cel import cel
from backstop.core.contest import Contest, Timing, ask_both, hold, lanes_of, schedule
from backstop.core.evidence_state import MIRROR, EvidenceState
from backstop.core.fairness import accused, leave_out, one_pod, pod_of, uneven_split
from backstop.core.measurement import Measured, Measurement, Missing, Pillar, Question
from backstop.core.measures.lanes import Distribution, Edges, Lane, LatencyEdges
from backstop.core.measures.measure import Floats
from backstop.core.measures.shares import CounterShare, Errors, Success
from backstop.core.presets.preset import Preset
from backstop.core.signals.rule import Asked, Rule, Scope, Subject
from backstop.core.statistics.sequential import (
    Counts,
    log_evidence,
    mean_evidence,
    not_worse,
    worse,
)
from backstop.core.steps import StepLength
from backstop.core.tally import Tally
from backstop.core.units import Decimal, Percent, fraction, say_seconds, say_share, seconds

_FIELDS: Final = ("errors", "latency", "success", "distribution")

_LARGEST_MARGIN: Final = 100.0
_LARGEST_BOUND: Final = 1000.0


@cel(
    "double(self.margin) >= 1.0 && double(self.margin) <= 100.0"
    " && double(self.notWorseThan) > double(self.margin) && double(self.notWorseThan) <= 1000.0",
    "margin is from 1 to 100, and notWorseThan is larger than margin and at most 1000",
    lambda self: (
        1.0 <= float(self.margin) <= _LARGEST_MARGIN
        and float(self.margin) < float(self.not_worse_than) <= _LARGEST_BOUND
    ),
)
@cel(
    "[self.alpha, self.beta].all(p, !p.matches('^(100|0{1,2}([.]0+)?)%$'))",
    "alpha and beta are above 0% and below 100%",
    lambda self: all(0.0 < fraction(one) < 1.0 for one in (self.alpha, self.beta)),
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _FIELDS) + " == 1",
    f"a comparison needs exactly one of {', '.join(_FIELDS)}",
    lambda self: sum(getattr(self, name) is not None for name in _FIELDS) == 1,
)
class Comparison(Rule):
    """The candidate against the concurrent target: whether it is worse by more than a margin."""

    KIND: ClassVar[str] = "comparison"
    SCOPE: ClassVar[Scope] = Scope.CANDIDATE
    WINDOW: ClassVar[str] = "5m"
    PERSISTENCE: ClassVar[tuple[int, int]] = (1, 1)

    errors: Errors | None = None
    """Failed requests per request."""

    latency: LatencyEdges | None = None
    """Slow requests per request, above one to three bounds."""

    success: Success | None = None
    """Attempts that succeeded, such as orders per visit."""

    distribution: Distribution | None = None
    """A distribution of values, such as prediction scores. A retrained model is expected to differ:
    choose a larger margin."""

    margin: Decimal = "1.25"
    """By which factor the candidate may be worse: small differences between pods are no fault."""

    alpha: Percent = "1%"
    """The probability that a candidate within the margin is ever called worse."""

    not_worse_than: Decimal = "2"
    """Promotion wants proof that the candidate is not worse than by this factor."""

    beta: Percent = "5%"
    """The probability that such a proof is wrong."""

    step: StepLength | None = None
    """The length of a step in which events are counted, at least and by default a bit more than the
    longer scrape interval of both versions. Four steps must fit the window."""

    warmup_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """What a new pod counts in so many seconds after its first scrape is left out; with 0 it counts
    from its first request."""

    @property
    def compared(self) -> CounterShare | Edges:
        """What the versions are compared by."""
        found = self.errors or self.latency or self.success or self.distribution
        if found is None:
            raise ValueError(f"a comparison needs exactly one of {', '.join(_FIELDS)}")
        return found

    @property
    def pillar(self) -> Pillar | None:
        """The pillar of what is compared; see :attr:`Rule.pillar`."""
        if self.distribution is not None:
            return Pillar.MODEL
        return Pillar.BUSINESS if self.success is not None else Pillar.SYSTEM

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's selectors; see :meth:`Rule.resolved`."""
        found = (getattr(self, name) for name in _FIELDS)
        changes = {
            name: None if one is None else one.resolved(preset)
            for name, one in zip(_FIELDS, found, strict=True)
        }
        return self.model_copy(update=changes)

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return the questions about both versions; see :meth:`Rule.questions`."""
        back = window + self.warmup_seconds
        return ask_both(self.compared, subject.labels, subject.beside or {}, back)

    @classmethod
    def measure_all(
        cls, rules: Sequence[Self], asked: Sequence[Asked], _tally: Tally
    ) -> list[Measured]:
        """Advance all tests at once; see :meth:`Rule.measure_all`."""
        rounds = [_round(rule, one) for rule, one in zip(rules, asked, strict=True)]
        ready = [one for one in rounds if isinstance(one, _Round)]
        advanced = iter(_advance(ready))
        return [one if isinstance(one, Missing) else next(advanced) for one in rounds]


class _Round(NamedTuple):
    """One test before a look: where it stands, and what there is to add to it and its mirror."""

    rule: Comparison
    state: EvidenceState
    contest: Contest
    mirror: Contest


def _round(rule: Comparison, asked: Asked) -> _Round | Missing:
    lanes = lanes_of(rule.compared, asked.answers)
    if isinstance(lanes, Missing):
        return lanes
    timing = Timing(
        window=asked.window,
        step=seconds(rule.step) if rule.step else None,
        since=asked.since,
        until=asked.until,
        warmup=float(rule.warmup_seconds),
    )
    clock = schedule(asked.answers, timing)
    if isinstance(clock, Missing):
        return clock
    test, started = evidence_state.fingerprint(rule), float(clock.bounds[0])
    state = evidence_state.resume(test, len(lanes), asked.state)
    state = state or evidence_state.begin(test, len(lanes), started, asked.weight)
    state = state.routed_by(asked.weight, asked.now + clock.length)
    without = pod_of(lanes[0].candidate, state.left_out)
    contest = hold(lanes, clock, clock.later(), without)
    return _Round(rule, state, contest, hold(lanes, clock.later(), clock, without))


def _advance(rounds: Sequence[_Round]) -> list[Measured]:
    """Add the evidence of all steps of all tests."""
    if not rounds:
        return []
    lengths = [one.contest.ours.size for one in rounds]
    margin = np.repeat([float(one.rule.margin) for one in rounds], lengths)
    bound = np.repeat([float(one.rule.not_worse_than) for one in rounds], lengths)
    ends = np.cumsum(lengths)[:-1]
    against = np.split(worse(_all([one.contest for one in rounds]), margin), ends)
    favour = not_worse(_all([one.mirror for one in rounds]), bound)[:, MIRROR]
    return [
        _measured(one, _advanced(one, increments, mirror))
        for one, increments, mirror in zip(rounds, against, np.split(favour, ends), strict=True)
    ]


def _all(contests: Sequence[Contest]) -> Counts:
    """Return the counts of all contests, by step and lane, as flat arrays."""
    fields = zip(*(one.counts() for one in contests), strict=True)
    return Counts(*(np.concatenate([np.ravel(part) for part in parts]) for parts in fields))


def _advanced(one: _Round, increments: Floats, mirror: Floats) -> EvidenceState:
    state, contest, shape = one.state, one.contest, one.contest.ours.shape
    path = _path(state.worse, increments.reshape(*shape, increments.shape[-1]))
    mirrored = _path(state.mirror, mirror.reshape(*shape, mirror.shape[-1]))
    both = np.stack([contest.candidate, contest.stable], axis=1)
    answered = _path(np.array([state.candidate, state.stable]), both)[-1]
    routed = contest.clock.settled() & (contest.clock.bounds[:-1] >= state.routed_from)
    split = _path(np.array(state.routed), np.where(routed[:, np.newaxis], both, 0.0))[-1]
    return replace(
        state,
        candidate=float(answered[0]),
        stable=float(answered[1]),
        worst=max(state.worst, float(mean_evidence(log_evidence(path)).max())),
        routed=(float(split[0]), float(split[1])),
        routed_steps=state.routed_steps + float(routed.sum()),
        events=_path(state.events, np.stack([contest.ours, contest.theirs], axis=2))[-1],
        worse=path[-1],
        mirror=mirrored[-1],
    )


def _path(start: Floats, increments: Floats) -> Floats:
    """Return the state after each step, added one by one so that no split changes a bit."""
    path: Floats = np.cumsum(np.concatenate((start[np.newaxis], increments)), axis=0)
    return path


def _measured(one: _Round, state: EvidenceState) -> Measured:
    rule, contest, until = one.rule, one.contest, one.contest.clock.until
    proof = float(log_evidence(state.mirror).min())
    rejected = state.worst >= -math.log(fraction(rule.alpha))
    missing = uneven_split(state)
    if missing is None:
        state, missing = _excused(one, state, rejected=rejected)
    if missing is not None:
        return missing._replace(state=state.pack(), until=until)
    return Measurement(
        value=math.exp(min(state.worst, _MOST_SAID)),
        breached=rejected,
        said=partial(_say, rule, contest.lanes, state, until),
        samples=state.candidate,
        state=state.pack(),
        until=until,
        proven=not rejected and proof >= -math.log(fraction(rule.beta)),
    )


def _excused(
    one: _Round, state: EvidenceState, *, rejected: bool
) -> tuple[EvidenceState, Missing | None]:
    """Return what to say if one pod of the candidate alone is bad.

    The test then begins anew without that pod, and takes it in again once it is good or gone.
    """
    contest, margin = one.contest, float(one.rule.margin)
    pod = pod_of(contest.lanes[0].candidate, state.left_out)
    if rejected and not state.left_out:
        pod = accused(contest, state, margin)
        if pod is not None:
            state = leave_out(state, pod, contest.clock.until)
            return state, one_pod(contest, pod, margin)
    elif not rejected and state.left_out:
        missing = None if pod is None else one_pod(contest, pod, margin)
        return (state if missing else replace(state, left_out=0.0)), missing
    return state, None


def _say(rule: Comparison, lanes: Sequence[Lane], state: EvidenceState, until: float) -> str:
    lane = int(np.argmax(log_evidence(state.worse)))
    ours, theirs = state.events[lane].tolist()
    rate = ours / state.candidate if state.candidate else 0.0
    stable = theirs / state.stable if state.stable else 0.0
    times = f", {rate / stable:.3g}x" if stable and rate else ""
    after = say_seconds(max(0.0, until - state.started))
    margin = float(rule.margin)
    return (
        f"{lanes[lane].noun} {say_share(rate)} ({ours:,.0f} of {state.candidate:,.0f}) against"
        f" {say_share(stable)} on stable{times}, {_evidence(state.worst)} after {after},"
        f" tolerated {1.0 / margin if lanes[lane].fewer else margin:.3g}x"
    )


def _evidence(log_odds: float) -> str:
    if log_odds < _WORTH_SAYING:
        return "no evidence of a difference"
    if log_odds > _MOST_SAID:
        return f"evidence over 1:{math.exp(_MOST_SAID):,.0f}"
    return f"evidence 1:{math.exp(log_odds):,.0f}"


_WORTH_SAYING: Final = math.log(2.0)
"""Odds below this are chance."""

_MOST_SAID: Final = math.log(1e9)
"""Larger odds tell a person nothing more."""
