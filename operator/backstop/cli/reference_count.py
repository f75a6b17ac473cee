"""From columns of training data to the counts of a reference, in two passes over the file.

The first pass keeps a random sample of each column, from which edges and frequent values follow;
the second counts everything exactly. Memory depends on the number of columns, not of rows. Equal
data give equal counts: the sample is drawn with a fixed seed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from backstop.cli.reference_data import Chunk, Column, DataError, Floats, absent, numbers, texts
from backstop.core.measures.features import MOST_CATEGORIES
from backstop.core.reference import MOST_SENTINELS

OTHERS: Final = "__other__"
"""What the rarest categories are counted as, where there are too many."""

MOST_SEEN: Final = 5_000
"""A column of texts with more values than this is an identifier, not a category."""

_SAMPLED: Final = 10_000
_SAMPLED_IN_ALL: Final = 20_000_000
_FREQUENT: Final = 0.01
_DIGITS: Final = 6

Chunks = Callable[[], Iterator[Chunk]]
"""A new pass over the data."""


@dataclass(slots=True)
class Learnt:
    """What the first pass learns of a column.

    ``keys`` and ``sample`` are the values with the smallest random keys so far.
    """

    keys: Floats = field(default_factory=lambda: np.empty(0))
    sample: Floats = field(default_factory=lambda: np.empty(0))
    low: float = np.inf
    high: float = -np.inf
    texts: Counter[str] = field(default_factory=Counter)
    is_text: bool = False

    def see(self, column: Column, size: int, random: np.random.Generator) -> None:
        """Take note of one chunk; the sample has at most ``size`` values."""
        found = None if self.is_text else numbers(column)
        if found is None:
            self.is_text = True
            if len(self.texts) <= MOST_SEEN:
                self.texts.update(value for value in texts(column) if value is not None)
            return
        found = found[np.isfinite(found)]
        if not found.size:
            return
        self.low, self.high = min(self.low, float(found.min())), max(self.high, float(found.max()))
        keys = np.concatenate((self.keys, random.random(found.size)))
        sample = np.concatenate((self.sample, found))
        if keys.size > size:
            kept = np.argpartition(keys, size)[:size]
            keys, sample = keys[kept], sample[kept]
        self.keys, self.sample = keys, sample

    def edges(self, bins: int) -> list[float]:
        """Return edges at the quantiles, and at the least and the greatest value."""
        distinct = set(np.unique(self.sample).tolist())
        if len(distinct) > bins:
            shares = np.arange(1, bins) / bins
            inner = np.quantile(self.sample, shares, method="inverted_cdf").tolist()
            short = (float(f"{value:.{_DIGITS}g}") for value in inner)
            distinct = {self.low, self.high, *(min(max(v, self.low), self.high) for v in short)}
        return sorted(distinct)

    def frequent(self) -> list[float]:
        """Return the values that are often exactly equal: sentinels are among them."""
        values, counts = np.unique(self.sample, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_SENTINELS]
        least = max(2.0, _FREQUENT * self.sample.size)
        return [float(values[place]) for place in order if counts[place] >= least]


def learn(passes: Chunks, label: str | None) -> dict[str, Learnt]:
    """Return what the first pass learns of each column; that of the ``label`` is one of texts."""
    random = np.random.default_rng(0)
    learnt: dict[str, Learnt] = {}
    for chunk in passes():
        size = min(_SAMPLED, max(1_000, _SAMPLED_IN_ALL // max(1, len(chunk))))
        for name, column in chunk.items():
            learnt.setdefault(name, Learnt(is_text=name == label)).see(column, size, random)
    return learnt


@dataclass(slots=True)
class Counted:
    """What the second pass counts of a column; ``edges`` is ``None`` for texts."""

    edges: Floats | None
    exact: list[float]
    counts: Floats
    exactly: Floats
    texts: Counter[str] = field(default_factory=Counter)
    missing: int = 0

    def see(self, column: Column) -> None:
        """Count one chunk."""
        self.missing += absent(column)
        if self.edges is None:
            self.texts.update(value for value in texts(column) if value is not None)
            return
        found = numbers(column)
        if found is None:
            raise DataError("the data changed while it was read")
        found = found[np.isfinite(found)]
        place = np.searchsorted(self.edges, found, side="left")
        self.counts += np.bincount(place, minlength=self.counts.size)
        self.exactly += [int((found == value).sum()) for value in self.exact]

    def stored(self) -> dict[str, Any]:
        """Return the counts as a reference stores them."""
        if self.edges is None:
            return {"counts": _most(self.texts), "missing": self.missing}
        held = zip(self.exact, self.exactly.tolist(), strict=True)
        return {
            "edges": self.edges.tolist(),
            "counts": [int(count) for count in self.counts.tolist()],
            "missing": self.missing,
            "sentinels": {_said(value): int(count) for value, count in held},
        }


def _said(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)  # noqa: PLR2004


def _most(texts: Counter[str]) -> dict[str, int]:
    common = texts.most_common()
    if len(common) <= MOST_CATEGORIES:
        return {name[:253]: count for name, count in common}
    kept = {name[:253]: count for name, count in common[: MOST_CATEGORIES - 1]}
    return {**kept, OTHERS: sum(count for _, count in common[MOST_CATEGORIES - 1 :])}


def count(
    passes: Chunks, learnt: Mapping[str, Learnt], edges: Mapping[str, Sequence[float]], bins: int
) -> tuple[dict[str, Counted], int]:
    """Return the counts of each column, with ``edges`` where given, and the number of rows."""
    counted = {name: _begun(one, edges.get(name), bins) for name, one in learnt.items()}
    rows = 0
    for chunk in passes():
        rows += max(len(column) for column in chunk.values())
        for name, column in chunk.items():
            counted[name].see(column)
    return counted, rows


def _begun(learnt: Learnt, edges: Sequence[float] | None, bins: int) -> Counted:
    if learnt.is_text:
        return Counted(None, [], np.empty(0), np.empty(0))
    chosen = np.array(learnt.edges(bins) if edges is None else edges, dtype=np.float64)
    exact = learnt.frequent()
    return Counted(chosen, exact, np.zeros(chosen.size + 1), np.zeros(len(exact)))


def binning(histograms: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return a hash of the edges of all features."""
    edges = {name: one["edges"] for name, one in histograms}
    return f"sha256:{hashlib.sha256(json.dumps(edges, sort_keys=True).encode()).hexdigest()[:16]}"
