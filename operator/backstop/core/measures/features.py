"""What was counted of features: histograms and categories from answers, brought side by side.

A feature is read on its own, so that one with unusable numbers says nothing of the others. Then all
of them become one array over sides, features and buckets, which the statistics take in one pass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.samples import Series, SeriesSet, edge_of
from backstop.core.statistics.binning import (
    CUSTOM_SCHEMA,
    LEAST_COMMON_EDGES,
    Aligned,
    NativeHistogram,
    align,
    meet,
    native_histogram,
)
from backstop.core.tally import MOST

Floats = NDArray[np.float64]

MOST_BUCKETS: Final = 250
"""A classic histogram with more buckets is refused: it would cost more than it tells."""

MOST_CATEGORIES: Final = 250
"""Beyond so many categories of a feature, the rarest are counted as one."""


@dataclass(frozen=True, slots=True, eq=False)
class Classic:
    """``counts[k]`` values up to ``edges[k]`` and above the edge before; the last edge is infinite.

    Edges ascend; counts are finite and at least zero.
    """

    edges: Floats
    counts: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """How often each category was seen; finite and at least zero."""

    counts: Mapping[str, float]


Side = Classic | NativeHistogram | Categories
"""One side of a comparison of one feature."""


class Found(NamedTuple):
    """What an answer tells, by feature, and of which features it tells nothing usable."""

    sides: Mapping[str, Side]
    broken: Mapping[str, str]


def read_histograms(answer: Sequence[Series], label: str, noun: str) -> Found:
    """Return the histogram of each feature in ``answer``, an answer to increases of buckets.

    ``label`` holds the name of the feature; where it is empty, all series are of one, ``noun``.
    Series without that label are left out. Cumulative buckets are forced to be monotone, as scrapes
    of different buckets may be torn. Where a feature has native buckets, these count.
    """
    memo = answer.memo if isinstance(answer, SeriesSet) else {}
    found = memo.get((label, noun))
    if not isinstance(found, Found):
        found = memo[label, noun] = _histograms(answer, label, noun)
    return found


def _histograms(answer: Sequence[Series], label: str, noun: str) -> Found:
    by_edge: dict[str, dict[float, float]] = {}
    native: dict[str, Sequence[tuple[int, float, float, float]]] = {}
    for one in answer:
        name = one.labels.get(label, "") if label else noun
        if not name or not one.values.size:
            continue
        if one.buckets is not None:
            native[name] = one.buckets
        else:
            edges = by_edge.setdefault(name, {})
            edge = edge_of(one)
            edges[edge] = edges.get(edge, 0.0) + float(one.values[-1])
    sides: dict[str, Side] = {}
    broken: dict[str, str] = {}
    for name in sorted(by_edge.keys() | native.keys()):
        side = _native(native[name]) if name in native else _classic(by_edge[name])
        if isinstance(side, str):
            broken[name] = side
        else:
            sides[name] = side
    return Found(sides, broken)


def _classic(by_edge: Mapping[float, float]) -> Classic | str:
    if len(by_edge) > MOST_BUCKETS:
        return f"it has more than {MOST_BUCKETS} buckets"
    edges = np.array(sorted(by_edge), dtype=np.float64)
    if np.isnan(edges).any():
        return "it has a series without a numeric le label"
    if edges[-1] != math.inf or edges.size == 1:
        return "it is not a histogram with a +Inf bucket and others"
    cumulative = np.array([by_edge[edge] for edge in edges.tolist()], dtype=np.float64)
    if not _are_counts(cumulative):
        return "its buckets are not numbers"
    return Classic(edges, np.diff(np.maximum.accumulate(cumulative), prepend=0.0))


def _native(buckets: Sequence[tuple[int, float, float, float]]) -> NativeHistogram | str:
    table = np.array([one[1:] for one in buckets], dtype=np.float64).reshape(-1, 3)
    if not _are_counts(table[:, 2]) or np.isnan(table).any() or table[:, 2].sum() >= MOST:
        return "its buckets are not numbers"
    try:
        return native_histogram(buckets)
    except ValueError:
        return "its buckets overlap"


def _are_counts(counts: Floats) -> bool:
    return bool(((counts >= 0.0) & (counts < MOST)).all())


def read_categories(answer: Sequence[Series], label: str, category: str, noun: str) -> Found:
    """Return the categories of each feature in ``answer``, an answer to increases of counters.

    ``label`` is as in :func:`read_histograms`; the label ``category`` holds the category, and a
    series without it counts as the category without a name.
    """
    counts: dict[str, dict[str, float]] = {}
    for one in answer:
        name = one.labels.get(label, "") if label else noun
        if not name or not one.values.size:
            continue
        known = counts.setdefault(name, {})
        value = one.labels.get(category, "")
        known[value] = known.get(value, 0.0) + float(one.values[-1])
    good = {
        name: Categories(known)
        for name, known in sorted(counts.items())
        if all(0.0 <= one < MOST for one in known.values())
    }
    broken = dict.fromkeys(sorted(counts.keys() - good.keys()), "its counters are not numbers")
    return Found(good, broken)


def read_counts(answer: Sequence[Series], label: str) -> dict[str, float]:
    """Return the increase of each feature in ``answer``, NaN where it is no count."""
    counts: dict[str, float] = {}
    for one in answer:
        name = one.labels.get(label, "")
        if name and one.values.size:
            counts[name] = counts.get(name, 0.0) + float(one.values[-1])
    return {name: one if 0.0 <= one < MOST else math.nan for name, one in counts.items()}


def only(found: Found, names: Sequence[str] | None) -> Found:
    """Return ``found`` of the features in ``names``, or all of it without any."""
    if names is None:
        return found
    chosen = frozenset(names)
    sides = {name: side for name, side in found.sides.items() if name in chosen}
    return Found(sides, {name: why for name, why in found.broken.items() if name in chosen})


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Features over common buckets.

    ``counts`` has the shape (1 + windows, features, buckets): what is measured, then each window
    that it is held against, zero where that does not know the feature. ``edges``, shape (features,
    buckets), is padded with infinity, counts with zero; categories have no edges but infinite ones.
    ``unknown`` features are in no window, ``apart`` ones have too few edges in common with any.
    """

    names: tuple[str, ...]
    edges: Floats
    counts: Floats
    unknown: tuple[str, ...]
    apart: tuple[str, ...]


class _Row(NamedTuple):
    """One feature over the buckets that its sides have in common; ``None`` in place of a side."""

    edges: Floats
    counts: Sequence[Floats | None]


def side_by_side(current: Mapping[str, Side], windows: Sequence[Mapping[str, Side]]) -> Cube:
    """Return ``current`` and ``windows`` over common buckets.

    A window whose edges of a feature differ too much from those of ``current`` is left out for it.
    """
    rows: dict[str, _Row] = {}
    unknown: list[str] = []
    apart: list[str] = []
    for name, side in current.items():
        others = [window.get(name) for window in windows]
        if all(one is None for one in others):
            unknown.append(name)
            continue
        row = _row(side, others)
        if row is None:
            apart.append(name)
        else:
            rows[name] = row
    width = max((row.edges.size for row in rows.values()), default=1)
    edges = np.full((len(rows), width), np.inf)
    counts = np.zeros((1 + len(windows), len(rows), width))
    for number, row in enumerate(rows.values()):
        edges[number, : row.edges.size] = row.edges
        for place, held in enumerate(row.counts):
            if held is not None:
                counts[place, number, : held.size] = held
    return Cube(tuple(rows), edges, counts, tuple(unknown), tuple(apart))


def _row(side: Side, others: Sequence[Side | None]) -> _Row | None:
    if isinstance(side, Categories):
        return _categories(side, others)
    if isinstance(side, Classic) and all(
        one is None or (isinstance(one, Classic) and np.array_equal(one.edges, side.edges))
        for one in others
    ):
        held = [one.counts if isinstance(one, Classic) else None for one in others]
        return _Row(side.edges, [side.counts, *held])
    pairs = [None if one is None else _pair(one, side) for one in others]
    met = [one for one in pairs if one is not None]
    if not met:
        return None
    common = reduce(np.intersect1d, [one.edges for one in met])
    if common.size <= LEAST_COMMON_EDGES:
        return None
    current = _at(common, met[0].edges, met[0].current)
    held = [None if one is None else _at(common, one.edges, one.reference) for one in pairs]
    return _Row(common, [current, *held])


def _pair(reference: Side, current: Classic | NativeHistogram) -> Aligned | None:
    if isinstance(reference, Categories):
        return None
    if isinstance(reference, Classic) and isinstance(current, Classic):
        return align(reference.edges, reference.counts, current.edges, current.counts)
    return meet(_bounded(reference), _bounded(current))


def _bounded(side: Classic | NativeHistogram) -> NativeHistogram:
    if isinstance(side, NativeHistogram):
        return side
    lower = np.concatenate(([-math.inf], side.edges[:-1]))
    return NativeHistogram(CUSTOM_SCHEMA, lower, side.edges, side.counts)


def _at(common: Floats, edges: Floats, counts: Floats) -> Floats:
    place = np.searchsorted(common, edges)
    return np.asarray(np.bincount(place, counts, common.size), dtype=np.float64)


def _categories(side: Categories, others: Sequence[Side | None]) -> _Row | None:
    held = [one if isinstance(one, Categories) else None for one in others]
    if all(one is None for one in held):
        return None
    total: dict[str, float] = {}
    for one in (side, *held):
        for name, count in one.counts.items() if one is not None else ():
            total[name] = total.get(name, 0.0) + count
    common = sorted(total, key=lambda name: (-total[name], name))[:MOST_CATEGORIES]
    place = {name: number for number, name in enumerate(common)}
    size = min(len(total), len(common) + 1)
    counts = [None if one is None else _counted(one, place, size) for one in (side, *held)]
    return _Row(np.full(size, np.inf), counts)


def _counted(side: Categories, place: Mapping[str, int], size: int) -> Floats:
    """Return the counts by ``place``; what has none stands for the rare ones, in the last."""
    counts = np.zeros(size)
    for name, count in side.counts.items():
        counts[place.get(name, size - 1)] += count
    return counts
