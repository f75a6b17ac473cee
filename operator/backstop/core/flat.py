"""The series of many answers as one, in arrays.

What is done to one series is done to a million of them in the same few steps, without going from
object to object.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstop.core.samples import NO_COLUMNS, Columns

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """All series side by side: where each begins and ends, and whose it is.

    ``counts`` are the values as counts, ``nan`` where they are none.
    """

    times: Floats
    values: Floats
    counts: Floats
    begin: Indices
    end: Indices
    answer: Indices
    role: Indices
    edge: Floats
    target: Indices
    first_series: Indices
    first_target: Indices

    @property
    def size(self) -> int:
        """How many series there are."""
        return int(self.begin.size)


def flatten(columns: Sequence[Columns], first_role: Indices) -> Flat:
    """Join ``columns``; the roles of each answer, one for each of them, begin at ``first_role``."""
    blocks, rows = zip(*columns, strict=True) if columns else zip(NO_COLUMNS, strict=True)
    samples = np.frombuffer(b"".join(blocks)).reshape(-1, 2)
    series = np.frombuffer(b"".join(rows)).reshape(-1, 3)
    answers = first_role.size - 1
    of_column = np.fromiter(map(len, rows), np.intp, len(rows)) // series.itemsize // 3
    column = np.repeat(np.arange(of_column.size), of_column)
    answer_of = np.repeat(np.arange(answers), np.diff(first_role))
    answer = answer_of[column]
    target, first_target = _numbered(answer, series[:, 1], answers)
    lengths = series[:, 0].astype(np.intp)
    end = np.cumsum(lengths)
    values = np.ascontiguousarray(samples[:, 1])
    with np.errstate(invalid="ignore"):
        counts = np.where(values < 0.0, np.nan, values)
    return Flat(
        times=np.ascontiguousarray(samples[:, 0]),
        values=values,
        counts=counts,
        begin=end - lengths,
        end=end,
        answer=answer,
        role=column - first_role[answer],
        edge=series[:, 2],
        target=target,
        first_series=firsts(np.bincount(answer, minlength=answers)),
        first_target=first_target,
    )


def firsts(sizes: Indices) -> Indices:
    """Return where each group begins, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(sizes)))


def _numbered(answer: Indices, target: Floats, answers: int) -> tuple[Indices, Indices]:
    """Return a number for each scrape target, and where those of each answer begin."""
    order = order_of(answer, target)
    is_other = np.ones(order.size, dtype=np.bool_)
    is_other[1:] = (np.diff(answer[order]) != 0) | (np.diff(target[order]) != 0)
    number = np.empty(order.size, dtype=np.intp)
    number[order] = np.cumsum(is_other) - 1
    return number, firsts(np.bincount(answer[order][is_other], minlength=answers))


def order_of(group: Indices, value: Floats) -> Indices:
    """Return what sorts by ``group`` and then by ``value``; what is ``nan`` comes last of all."""
    # Pairs are sorted as complex numbers are. A lexsort would not profit from sorted groups.
    pairs = np.empty(group.size, dtype=np.complex128)
    pairs.real, pairs.imag = group, value
    return np.argsort(pairs, kind="stable")
