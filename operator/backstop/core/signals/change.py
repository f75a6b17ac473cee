"""The target after a release, by a test that finds a late change as fast as an early one.

A comparison ends with its trial; this goes on for as long as the version serves. It restarts at
every step by itself, so months of health do not make it slower. It holds the target against a small
holdback of the version before it, if one still serves, or else against what the target did before
the release. Only the former shares load and data with the target, so only it proves that the
version is to blame, and acts; the latter reports.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Final, NamedTuple, Self

import numpy as np
from pydantic import Field, StringConstraints

from backstop.core import evidence_state
from backstop.core.cel import cel
from backstop.core.contest import Contest, Timing, ask_both, by_pod, hold, lanes_of, schedule
from backstop.core.evidence_state import EvidenceState
from backstop.core.fairness import accused
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    UnknownReason,
)
from backstop.core.measures.lanes import Lane, LatencyEdges
from backstop.core.measures.latency import Latency
from backstop.core.measures.measure import Components, Share
from backstop.core.measures.shares import CounterShare, Errors, Success
from backstop.core.presets.preset import Preset
from backstop.core.signals.rule import Asked, OnBreach, Rule, Scope, Subject
from backstop.core.statistics.chernoff import upper_limit
from backstop.core.statistics.restart import advance, against_baseline, log_restarts
from backstop.core.statistics.sequential import log_evidence, worse
from backstop.core.steps import Clockwork, StepLength
from backstop.core.tally import Tally
from backstop.core.units import Decimal, LabelName, LabelValue, say_share, seconds

_RISK: Final = 0.01
"""The probability that the baseline allows a lower rate than was true."""

_HEADROOM: Final = 3.0
"""How far above the alarm evidence is kept, in nats: more would only delay the all-clear."""

_FIELDS: Final = ("errors", "latency", "success")
_BASELINE: Final = "baseline/"
_LARGEST_MARGIN: Final = 100.0

_KEEP: Final = 300.0
"""For how many seconds the past is not asked for again."""


class _Past(NamedTuple):
    """What the target did before the release, and the highest rate that this still allows."""

    share: Share
    limit: float


_MOST_SAID: Final = 50.0
"""Evidence is not stated beyond this, in nats."""

_CLEAR: Final = 0.0
_CHANGED: Final = 1.0
_ONE_POD: Final = 2.0
"""What was found at the last alarm, until the evidence is gone; ``worst`` of the state."""

LongDuration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}(h|d)$", max_length=5)]
"""Whole hours or days: ``12h``, ``7d``."""


@cel(
    "double(self.margin) >= 1.0 && double(self.margin) <= 100.0",
    "margin is from 1 to 100",
    lambda self: 1.0 <= float(self.margin) <= _LARGEST_MARGIN,
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _FIELDS) + " == 1",
    f"a change needs exactly one of {', '.join(_FIELDS)}",
    lambda self: sum(getattr(self, name) is not None for name in _FIELDS) == 1,
)
class Change(Rule):
    """The target since its last release, against a holdback or its own past."""

    KIND: ClassVar[str] = "change"
    SCOPE: ClassVar[Scope] = Scope.TARGET
    WINDOW: ClassVar[str] = "5m"
    PERSISTENCE: ClassVar[tuple[int, int]] = (1, 1)

    errors: Errors | None = None
    """Failed requests per request."""

    latency: Latency | None = None
    """Slow requests per request."""

    success: Success | None = None
    """Attempts that succeeded, such as orders per visit."""

    holdback_labels: dict[LabelName, LabelValue] | None = Field(
        default=None, min_length=1, max_length=8
    )
    """Labels that select the series of a small holdback of the version before. Without them the
    target is held against its own past."""

    baseline: LongDuration = "1h"
    """How long before the release the target's past reaches, where there is no holdback."""

    margin: Decimal = "1.25"
    """By which factor the target may be worse."""

    false_alarm_every: LongDuration = "7d"
    """How long it takes, on average and at least, until a target within the margin is blamed."""

    step: StepLength | None = None
    """The length of a step in which events are counted, at least and by default a bit more than a
    scrape interval. Four steps must fit the window."""

    warmup_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """What a new pod counts in so many seconds after its first scrape is left out; with 0 it counts
    from its first request."""

    @property
    def measure_of(self) -> Errors | Latency | Success:
        """What is measured."""
        found = self.errors or self.latency or self.success
        if found is None:
            raise ValueError(f"a change needs exactly one of {', '.join(_FIELDS)}")
        return found

    @property
    def compared(self) -> CounterShare | LatencyEdges:
        """What is measured, as two versions are compared by it."""
        found = self.measure_of
        if isinstance(found, Latency):
            return LatencyEdges(above=[found.above], buckets=found.buckets, unit=found.unit)
        return found

    @property
    def pillar(self) -> Pillar | None:
        """The pillar of the measure; see :attr:`Rule.pillar`."""
        return self.measure_of.PILLAR

    @property
    def on_breach(self) -> OnBreach:
        """Only a holdback proves that the version is to blame; see :attr:`Rule.on_breach`."""
        return OnBreach.REPORT if self.holdback_labels is None else OnBreach.ACT

    @property
    def attributes(self) -> bool:
        """A holdback shares load and data; see :attr:`Rule.attributes`."""
        return self.holdback_labels is not None

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's selectors; see :meth:`Rule.resolved`."""
        changes = {
            name: None if (one := getattr(self, name)) is None else one.resolved(preset)
            for name in _FIELDS
        }
        return self.model_copy(update=changes)

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return the questions about target and holdback or past; see :meth:`Rule.questions`."""
        beside = subject.labels if self.holdback_labels is None else self.holdback_labels
        asked = ask_both(self.compared, subject.labels, beside, window + self.warmup_seconds)
        if self.holdback_labels is not None or subject.changed is None:
            return asked
        before = self.measure_of.aggregated(
            subject.labels, self.baseline, f"@ {subject.changed:.3f}"
        )
        kept = {f"{_BASELINE}{role}": Question(one, _KEEP) for role, one in before.items()}
        return {**asked, **kept}

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Advance the test; see :meth:`Rule.measure`."""
        past = self._past(asked)
        if isinstance(past, Missing):
            return past
        lanes = lanes_of(self.compared, asked.answers)
        if isinstance(lanes, Missing):
            return lanes
        timing = Timing(
            window=asked.window,
            step=seconds(self.step) if self.step else None,
            since=max(asked.since, asked.subject.changed or 0.0),
            until=asked.until,
            warmup=float(self.warmup_seconds),
        )
        clock = schedule(asked.answers, timing)
        if isinstance(clock, Missing):
            return clock
        contest = hold(lanes if past is None else lanes[:1], clock, clock.later())
        test = evidence_state.fingerprint(self, str(asked.subject.changed))
        state = evidence_state.resume(test, len(contest.lanes), asked.state)
        state = state or evidence_state.begin(test, len(contest.lanes), float(clock.bounds[0]))
        return self._judge(contest, self._advanced(state, contest, past), past)

    def _past(self, asked: Asked) -> _Past | Missing | None:
        """Return what the past allows, ``None`` with a holdback."""
        if self.holdback_labels is not None:
            return None
        if asked.subject.changed is None:
            why = "no release was seen yet, so there is no past to hold the target against"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        before = {
            role.removeprefix(_BASELINE): found
            for role, found in asked.answers.items()
            if role.startswith(_BASELINE)
        }
        share = self.measure_of.count_aggregated(before)
        if isinstance(share, Missing):
            return Missing(share.reason, f"{share.why}, in the {self.baseline} before the release")
        bad = share.part if self.measure_of.IS_BAD else share.whole - share.part
        likely, margin = float(upper_limit(bad, share.whole, _RISK)), float(self.margin)
        limit = min(1.0, likely * margin)
        if not self.measure_of.IS_BAD:
            limit = min(limit, 1.0 - (1.0 - likely) / margin)
        return _Past(share, limit)

    def _advanced(
        self, state: EvidenceState, contest: Contest, past: _Past | None
    ) -> EvidenceState:
        """Return the state after all steps, each lane by itself; their mean M is held to A."""
        if past is None:
            increments = worse(contest.counts(), float(self.margin))
        else:
            increments = against_baseline(
                contest.ours, contest.candidate[:, np.newaxis], past.limit, 1.0
            )
        level, found, alarm = state.worse, state.worst, self._alarm(contest.clock)
        for increment in increments:
            level = np.minimum(advance(level, increment), alarm + _HEADROOM)
            found = _found(float(log_restarts(level.ravel())), alarm, before=found)
        advanced = replace(
            state,
            candidate=state.candidate + float(contest.candidate.sum()),
            stable=state.stable + float(contest.stable.sum()),
            events=state.events + np.stack([contest.ours, contest.theirs], axis=2).sum(axis=0),
            worst=found,
            worse=level,
        )
        is_new = found == _CHANGED and state.worst != _CHANGED
        if is_new and past is None and accused(contest, advanced, float(self.margin)):
            return replace(advanced, worst=_ONE_POD)
        return advanced

    def _alarm(self, clock: Clockwork) -> float:
        """Return ln of how many steps there are between false alarms on average."""
        return math.log(max(2.0, seconds(self.false_alarm_every) / clock.length))

    def _judge(self, contest: Contest, state: EvidenceState, past: _Past | None) -> Measured:
        lane, until = contest.lanes[int(np.argmax(log_evidence(state.worse)))], contest.clock.until
        said = partial(self._say, lane, contest.clock, past)
        if state.worst == _ONE_POD:
            why = f"one pod of the target alone is worse than the holdback: restart it; {said()}"
            return Missing(UnknownReason.ONE_POD, why, state.pack(), until)
        return Measurement(
            value=math.exp(min(float(log_restarts(state.worse.ravel())), _MOST_SAID)),
            breached=state.worst == _CHANGED,
            said=said,
            samples=state.candidate,
            state=state.pack(),
            until=until,
        )

    def _say(self, lane: Lane, clock: Clockwork, past: _Past | None) -> str:
        margin = 1.0 / float(self.margin) if lane.fewer else float(self.margin)
        ours, tolerated = _lately(lane.candidate, clock), f"tolerated {margin:.3g}x"
        if past is None:
            beside = _lately(lane.stable, clock)
            return f"{lane.noun} {ours} lately against {beside} on the holdback, {tolerated}"
        return f"{lane.noun} {ours} lately against {self._before(past)}, {tolerated}"

    def _before(self, past: _Past) -> str:
        share = past.share
        bad = share.part if self.measure_of.IS_BAD else share.whole - share.part
        said = _counts(bad, share.whole)
        return f"{said} in the {self.baseline} before the release"


def _lately(components: Components, clock: Clockwork) -> str:
    pods = by_pod(components, clock)
    return _counts(float(pods.events.sum()), float(pods.totals.sum()))


def _counts(events: float, total: float) -> str:
    rate = events / total if total else 0.0
    return f"{say_share(rate)} ({events:,.0f} of {total:,.0f})"


def _found(evidence: float, alarm: float, *, before: float) -> float:
    """Return what is found from an alarm on, until the evidence is half of it, in nats."""
    if before == _CLEAR and evidence >= alarm:
        return _CHANGED
    return _CLEAR if evidence <= alarm / 2.0 else before
