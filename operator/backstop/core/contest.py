"""Two versions that serve side by side, counted in the same steps, pod by pod."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from backstop.core.measurement import Missing, Question, UnknownReason
from backstop.core.measures.lanes import Edges, Lane, counter_lanes
from backstop.core.measures.measure import Components, Floats
from backstop.core.measures.shares import CounterShare
from backstop.core.samples import Series, Target
from backstop.core.statistics.sequential import LARGEST_COUNT, Counts
from backstop.core.steps import Clockwork, clockwork
from backstop.core.tally import Answers
from backstop.core.units import say_seconds

_CANDIDATE = "candidate/"
_STABLE = "stable/"

_STEPS = 4.0
"""So many steps fit the window at least: some to count, and what a scrape is held against."""


def ask_both(
    compared: CounterShare | Edges,
    candidate: Mapping[str, str],
    stable: Mapping[str, str],
    window: float,
) -> dict[str, Question]:
    """Return the questions about both versions, selected by labels; ``window`` in seconds.

    Raises:
        PromqlError: a selector cannot be used.
    """
    ours, theirs = compared.questions(candidate, window), compared.questions(stable, window)
    return {
        **{f"{_CANDIDATE}{role}": one for role, one in ours.items()},
        **{f"{_STABLE}{role}": one for role, one in theirs.items()},
    }


class Timing(NamedTuple):
    """When to count; the times are as in :func:`backstop.core.steps.clockwork`.

    ``window`` is how far back the samples reach without a warm-up, in seconds.
    """

    window: float
    step: float | None
    since: float
    until: float
    warmup: float


class Contest(NamedTuple):
    """What both versions did in each step.

    ``candidate`` and ``stable`` have one number a step, ``ours`` and ``theirs``, shape (steps,
    lanes), count the events of each lane among them. A step with a number that is no count is
    empty.
    """

    lanes: Sequence[Lane]
    clock: Clockwork
    candidate: Floats
    stable: Floats
    ours: Floats
    theirs: Floats

    def counts(self) -> Counts:
        """Return what the test takes, each of shape (steps, lanes).

        A lane on which fewer events are worse has the versions swapped: that the candidate has
        fewer means that stable has more.
        """
        fewer = np.array([lane.fewer for lane in self.lanes])
        candidate, stable = (
            np.broadcast_to(one[:, np.newaxis], self.ours.shape)
            for one in (self.candidate, self.stable)
        )
        return Counts(
            np.where(fewer, stable, candidate),
            np.where(fewer, self.theirs, self.ours),
            np.where(fewer, candidate, stable),
            np.where(fewer, self.ours, self.theirs),
        )


def lanes_of(compared: CounterShare | Edges, answers: Answers) -> list[Lane] | Missing:
    """Return the lanes in ``answers`` to :func:`ask_both`, or why there are none."""
    if isinstance(compared, CounterShare):
        return counter_lanes(compared, _arm(answers, _CANDIDATE), _arm(answers, _STABLE))
    return compared.lanes(_arm(answers, _CANDIDATE), _arm(answers, _STABLE))


def _arm(answers: Answers, prefix: str) -> dict[str, Sequence[Series]]:
    return {
        role.removeprefix(prefix): found
        for role, found in answers.items()
        if role.startswith(prefix)
    }


def schedule(answers: Answers, timing: Timing) -> Clockwork | Missing:
    """Return the steps to count ``answers`` to :func:`ask_both` in, or why there are none."""
    clock = clockwork(
        (_arm(answers, _CANDIDATE), _arm(answers, _STABLE)),
        length=timing.step,
        since=timing.since,
        until=timing.until,
        warmup=timing.warmup,
    )
    if clock is None:
        why = "a comparison needs two scrapes of both versions in the window"
        return Missing(UnknownReason.INSUFFICIENT_DATA, why)
    if timing.window < _STEPS * clock.length:
        why = (
            f"steps of {say_seconds(clock.length)} do not fit the window of"
            f" {say_seconds(timing.window)}: it must be at least {_STEPS:.0f} times as long"
        )
        return Missing(UnknownReason.INSUFFICIENT_DATA, why)
    return clock


def hold(
    lanes: Sequence[Lane], ours: Clockwork, theirs: Clockwork, without: Target | None = None
) -> Contest:
    """Return what both versions did, but for one pod of the candidate.

    Versions are not scraped at once, so what breaks both at the same time is seen of one before it
    is seen of the other. A test against the candidate therefore takes ``theirs``, the steps of
    stable, to be ``later`` than ``ours``; one in its favour the other way round. Sums over the
    steps so far then never hold a shared fault of the accused one alone.
    """
    counted = [_without(lane, without) for lane in lanes]
    candidate = ours.count(counted[0].candidate.whole)
    stable = theirs.count(counted[0].stable.whole)
    bad = np.stack([_events(one.candidate, candidate, ours) for one in counted], axis=1)
    beside = np.stack([_events(one.stable, stable, theirs) for one in counted], axis=1)
    usable = np.isfinite(bad).all(axis=1) & np.isfinite(beside).all(axis=1)
    usable &= (candidate <= LARGEST_COUNT) & (stable <= LARGEST_COUNT)
    return Contest(
        lanes,
        ours,
        np.where(usable, candidate, 0.0),
        np.where(usable, stable, 0.0),
        np.where(usable[:, np.newaxis], bad, 0.0),
        np.where(usable[:, np.newaxis], beside, 0.0),
    )


def _without(lane: Lane, pod: Target | None) -> Lane:
    if pod is None:
        return lane
    return lane._replace(candidate=_chosen(lane.candidate, lambda target: target != pod))


def _chosen(components: Components, wanted: Callable[[Target], bool]) -> Components:
    whole, bad, good = (
        [one for one in found if wanted(one.target)]
        for found in (components.whole, components.bad, components.good or ())
    )
    return Components(whole, bad, None if components.good is None else good)


def _events(components: Components, whole: Floats, clock: Clockwork) -> Floats:
    """Return the events in each step, at least zero and at most all."""
    if components.good is None:
        events = clock.count(components.bad)
    else:
        events = whole - clock.count(components.good)
    return np.clip(events, 0.0, np.maximum(whole, 0.0))


class Pods(NamedTuple):
    """The pods of one version, and all events of each and those of a lane."""

    targets: list[Target]
    totals: Floats
    events: Floats


def by_pod(components: Components, clock: Clockwork) -> Pods:
    """Return what each pod did as far as the samples reach and are evidence."""
    at_once = clock.at_once()
    targets = sorted({series.target for series in components.whole})
    counted = [_of_pod(components, target, at_once) for target in targets]
    totals, events = np.array(counted).reshape(-1, 2).T
    return Pods(targets, totals, events)


def _of_pod(components: Components, pod: Target, at_once: Clockwork) -> tuple[float, float]:
    mine = _chosen(components, lambda target: target == pod)
    total = at_once.count(mine.whole)
    return float(total[0]), float(_events(mine, total, at_once)[0])
