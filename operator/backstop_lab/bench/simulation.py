"""Many rollouts at once, simulated request by request, seen through the operator's own tests.

A :data:`Statistic` is asked once per look and answers with the value of a test for each run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backstop.core.statistics.chernoff import upper_limit
from backstop.core.statistics.restart import advance, against_baseline, log_restarts
from backstop.core.statistics.sequential import (
    GRID,
    Counts,
    Floats,
    log_evidence,
    mean_evidence,
    worse,
)
from backstop.core.statistics.split import leave_one_out, log_mismatch

CANDIDATE: Final = 30
"""Requests of the candidate between two looks."""

STABLE: Final = 2970
"""Requests of stable between two looks."""

SHOCK_SD: Final = 0.8
"""Standard deviation of the logarithm of a shared shock, and below its memory over one look."""

SHOCK_MEMORY: Final = 0.9

BASELINE: Final = 20_000
"""Requests of a baseline."""

BUSY: Final = 300
"""Requests between two looks of the arm that is held against a baseline."""

Statistic = Callable[[int], Floats]


class Simulation:
    """``runs`` copies of one rollout at once, at least 100; ``scale`` makes them fewer."""

    def __init__(self, seed: int, runs: int, scale: float) -> None:
        self.random = np.random.default_rng(seed)
        self.runs = max(100, int(runs * scale))

    def events(self, requests: int, rate: float | Floats) -> NDArray[np.int64]:
        """Return how many of ``requests`` are events, for each run."""
        return self.random.binomial(requests, np.minimum(rate, 1.0), self.runs)

    def rates(self, mean: float, *, shocked: bool) -> Iterator[float | Floats]:
        """Yield what both arms share in each interval: the rate, shocked by AR(1) log-normals."""
        shock = self.random.normal(0.0, SHOCK_SD, self.runs)
        fresh = SHOCK_SD * math.sqrt(1.0 - SHOCK_MEMORY**2)
        while True:
            yield np.minimum(mean * np.exp(shock), 0.5) if shocked else mean
            shock = SHOCK_MEMORY * shock + self.random.normal(0.0, fresh, self.runs)

    def arms(
        self,
        rate: float,
        ratio: float,
        null: float = 1.0,
        *,
        shocked: bool = False,
        test: Callable[[Counts, float], Floats] = worse,
        requests: tuple[int, int] = (CANDIDATE, STABLE),
    ) -> Statistic:
        """Return the log evidence of two arms whose rates differ by ``ratio``."""
        state = np.zeros((self.runs, GRID.size))
        rates = self.rates(rate, shocked=shocked)
        c, s = requests

        def look(_: int) -> Floats:
            shared = next(rates)
            x, y = self.events(c, shared * ratio), self.events(s, shared)
            state[:] += test(Counts(c, x, s, y), null)
            return log_evidence(state)

        return look

    def restarting(self, rate: float, ratio: float, change: int) -> Statistic:
        """Return the restarting statistic; the candidate turns bad after ``change`` looks."""
        state = np.zeros((self.runs, GRID.size))

        def look(number: int) -> Floats:
            x = self.events(CANDIDATE, rate * (ratio if number > change else 1.0))
            counts = Counts(CANDIDATE, x, STABLE, self.events(STABLE, rate))
            state[:] = advance(state, worse(counts, 1.0))
            return log_restarts(state)

        return look

    def latency(self, slowdown: float, tail: float) -> Statistic:
        """Return the mean evidence of three edges; ``tail`` is the share that takes 2 s more."""
        edges = np.array([0.1, 0.2, 0.4])
        stable = 1.0 - _normal(np.log(edges / 0.1) / 0.6)
        slow = 1.0 - _normal(np.log(edges / 0.1 / slowdown) / 0.6)
        candidate = slow * (1.0 - tail) + tail
        state = np.zeros((self.runs, edges.size, GRID.size))

        def above(requests: int, shares: Floats) -> Floats:
            counts = np.full(self.runs, requests)
            found = []
            for conditional in shares / np.concatenate(([1.0], shares[:-1])):
                counts = self.random.binomial(counts, conditional)
                found.append(counts)
            return np.stack(found, axis=-1).astype(np.float64)

        def look(_: int) -> Floats:
            x, y = above(CANDIDATE, candidate), above(STABLE, stable)
            state[:] += worse(Counts(CANDIDATE, x, STABLE, y), 1.0)
            return mean_evidence(log_evidence(state))

        return look

    def baseline(
        self, ratio: float, margin: float, risk: float, *, shocked: bool, naive: bool = False
    ) -> Statistic:
        """Return the log evidence of one arm against a baseline; ``naive`` pairs it anew."""
        rates = self.rates(0.005, shocked=shocked)
        before = self.events(BASELINE, next(rates))
        limit = upper_limit(before, BASELINE, risk)
        state = np.zeros((self.runs, GRID.size))

        def look(_: int) -> Floats:
            x = self.events(BUSY, next(rates) * ratio)
            if naive:
                state[:] += worse(Counts(BUSY, x, BASELINE, before), margin)
            else:
                state[:] += against_baseline(x, BUSY, limit, margin)
            return log_evidence(state)

        return look

    def named_pods(self, ratios: Sequence[float], bound: float, looks: int) -> list[int | None]:
        """Return which pod of the candidate is named when the evidence reaches ``bound``.

        Errors are 0.5 %, times its own ratio on each pod; the margin is 1.25. Undecided runs are
        left out.
        """
        each = CANDIDATE // len(ratios)
        state = np.zeros((self.runs, GRID.size))
        pods, stable = np.zeros((self.runs, len(ratios))), np.zeros(self.runs)
        waiting, named = np.ones(self.runs, dtype=np.bool_), []
        for number in range(1, looks + 1):
            now = np.stack([self.events(each, 0.005 * ratio) for ratio in ratios], axis=-1)
            y = self.events(STABLE, 0.005)
            pods, stable = pods + now, stable + y
            state += worse(Counts(each * len(ratios), now.sum(axis=-1), STABLE, y), 1.25)
            decided = waiting & (log_evidence(state) >= bound)
            waiting &= ~decided
            for run in np.flatnonzero(decided):
                tolerated = 1.25 * float(stable[run]) / (STABLE * number)
                totals = np.full(len(ratios), float(each * number))
                named.append(leave_one_out(pods[run], totals, tolerated))
            if not waiting.any():
                break
        return named

    def split(self, share: float, weight: float) -> Statistic:
        """Return the log evidence against the configured ``weight`` of the candidate."""
        counts = np.zeros((self.runs, 2))

        def look(_: int) -> Floats:
            candidate = self.events(CANDIDATE + STABLE, share)
            counts[:] += np.stack([candidate, CANDIDATE + STABLE - candidate], axis=-1)
            return log_mismatch(counts, [weight, 1.0 - weight])

        return look


def _normal(z: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z])


def first_looks(
    statistic: Statistic, bounds: Sequence[float], looks: int, start: int = 0
) -> Floats:
    """Return, shape (bounds, runs), the look at which each bound is first reached, else infinity.

    Looks are counted from ``start``; a bound that is reached before counts as NaN: such a run had
    a false alarm and says nothing about delays.
    """
    first: Floats | None = None
    for number in range(1, start + looks + 1):
        values = statistic(number)
        if first is None:
            first = np.full((len(bounds), values.size), math.inf)
        reached = (values >= np.array(bounds)[:, np.newaxis]) & np.isinf(first)
        first[reached] = number - start if number > start else math.nan
        if not np.isinf(first).any():
            break
    if first is None:
        raise ValueError("no looks")
    return first
