"""Checks on the values of many features at once: missing, invalid, out of range, sentinels.

A check is two arrays over features, a share and the largest share allowed. What a spec says comes
in as numbers, so that nothing here depends on how it is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.measures.feature_counters import OutOfRange
from backstop.core.measures.features import Floats, Side
from backstop.core.measures.spans import Bucket, Spans, above, below, bucket_at, share_within
from backstop.core.units import fraction, say_share

_LISTED: Final = 3
"""So many features are named in a list, the others are counted."""


class Values(NamedTuple):
    """How many values each feature had: valid ones, missing ones, invalid ones; in one order.

    NaN where a counter is no number.
    """

    names: tuple[str, ...]
    valid: Floats
    missing: Floats
    invalid: Floats

    @property
    def all(self) -> Floats:
        """All values of each feature."""
        return self.valid + self.missing + self.invalid


def values_of(
    valid: Mapping[str, float], missing: Mapping[str, float], invalid: Mapping[str, float]
) -> Values:
    """Return the counts side by side; a counter that is absent beside another one is zero."""
    names = tuple(sorted(valid.keys() | missing.keys() | invalid.keys()))
    columns = (
        np.array([counts.get(name, 0.0) for name in names], dtype=np.float64)
        for counts in (valid, missing, invalid)
    )
    return Values(names, *columns)


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One property of all features: ``part`` of ``whole`` values have it, and what share may.

    ``told`` are the features of which the share is known; where no feature's buckets can tell it,
    ``untold`` says why. ``said`` names the property, or does so in the row of a feature.
    """

    part: Floats
    whole: Floats
    limit: Floats
    told: NDArray[np.bool_]
    said: str | Callable[[int], str]
    untold: str = ""

    @property
    def share(self) -> Floats:
        """The share that has the property, zero where it is not known."""
        return np.where(self.told, self.part, 0.0) / np.where(self.told, self.whole, 1.0)

    def say(self, row: int) -> str:
        """Return the numbers in the row of a feature."""
        said = self.said if isinstance(self.said, str) else self.said(row)
        counts = f"{self.part[row]:,.0f} of {self.whole[row]:,.0f}"
        share, limit = say_share(float(self.share[row])), say_share(float(self.limit[row]))
        return f"{share} {said} ({counts}), allowed {limit}"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What all checks found. Only features with ``enough`` values count in ``checks``.

    ``lists`` holds the names of features that break a check by themselves, by what is said of them.
    """

    values: Values
    enough: NDArray[np.bool_]
    checks: Sequence[Check]
    lists: Mapping[str, Sequence[str]]

    @property
    def bad(self) -> frozenset[str]:
        """The features that break any check."""
        rows = np.zeros(len(self.values.names), dtype=np.bool_)
        for one in self.checks:
            rows |= one.told & self.enough & (one.share > one.limit)
        names = {self.values.names[row] for row in np.flatnonzero(rows).tolist()}
        return frozenset(names.union(*self.lists.values()))

    def worst(self) -> tuple[Check, int] | None:
        """Return the check and the row that is farthest above its limit, or else nearest to it.

        Relative to the room between limit and everything, so that 5 % and 50 % can be compared.
        """
        found: tuple[float, Check, int] | None = None
        for one in self.checks:
            told = one.told & self.enough
            excess = np.where(told, (one.share - one.limit) / (1.0 + 1e-9 - one.limit), -np.inf)
            row = int(np.argmax(excess))
            if told.any() and (found is None or excess[row] > found[0]):
                found = (float(excess[row]), one, row)
        return None if found is None else found[1:]

    def say(self) -> str:
        """Return the worst number, the features that break a check, and those left out."""
        worst = self.worst()
        said = [f"{what}: {listed(names)}" for what, names in self.lists.items() if names]
        if worst is not None:
            one, row = worst
            said.insert(0, f"feature {listed([self.values.names[row]])}: {one.say(row)}")
        count = int(self.enough.sum())
        said.append(f"{len(self.bad)} features break a check, {count} have enough values")
        whole = self.values.all
        few = int((~self.enough & np.isfinite(whole)).sum())
        return (
            "; ".join(said)
            + (f", {few} left out with too few" if few else "")
            + (f", {odd} without usable numbers" if (odd := int(np.isnan(whole).sum())) else "")
        )


def out_of_range(asked: OutOfRange, spans: Spans, values: Values) -> list[Check]:
    """Return the checks that values are at least the min and at most the max that is possible."""
    share = np.full(values.valid.shape, fraction(asked.share))
    found: list[Check] = []
    for bound, outside, side in (
        (asked.min, below, "below"),
        (asked.max, above, "above"),
    ):
        if bound is not None:
            one = outside(spans, float(bound))
            whole = values.valid
            said = partial(_beyond, side, bound, one.edge)
            told = one.told & (whole > 0.0)
            missing = f"no bucket tells values {side} {bound}: add a bucket with an edge there"
            untold = "" if one.told.any() or not (whole > 0.0).any() else missing
            found.append(Check(one.held, whole, share, told, said, untold))
    return found


def _beyond(side: str, bound: str, edge: Floats, row: int) -> str:
    told = float(edge[row])
    if told == float(bound):
        return f"{side} {bound}"
    return f"{side} {bound}, as told by the edge at {told:.6g}"


def sentinel(
    value: float,
    share: float,
    spans: Spans,
    values: Values,
    before: Sequence[tuple[Side | None, Mapping[float, float]]],
) -> Check:
    """Return the check that the bucket of ``value`` holds at most ``share`` more than before.

    ``before`` is the reference of each feature: its histogram, and the shares of exact values.
    """
    held = bucket_at(spans, value)
    usual = np.array(
        [
            np.nan
            if side is None
            else max(exact.get(value, 0.0), share_within(side, float(low), float(high)))
            for (side, exact), low, high in zip(before, held.lower, held.upper, strict=True)
        ],
        dtype=np.float64,
    )
    told = np.isfinite(usual) & (values.valid > 0.0)
    missing = f"the reference has no histogram of a feature that could hold {value:.6g}"
    untold = "" if np.isfinite(usual).any() or not (values.valid > 0.0).any() else missing
    said = partial(_around, value, held)
    return Check(
        held.held,
        values.valid,
        np.where(told, np.minimum(usual + share, 1.0), 1.0),
        told,
        said,
        untold,
    )


def _around(value: float, held: Bucket, row: int) -> str:
    low, high = float(held.lower[row]), float(held.upper[row])
    return f"in the bucket of {value:.6g} (from {low:.6g} to {high:.6g})"


def listed(names: Sequence[str]) -> str:
    """Return some of ``names``, and how many more there are."""
    shown = ", ".join(" ".join(name.split())[:64] for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
