"""Kinds whose signals are measured as arrays.

For a kind that many signals are of, and whose measurement is a comparison of numbers: an object for
each of them would take longer to make than to measure.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from backstop.core.flat import Floats, Indices
from backstop.core.measurement import Measured, Measurement
from backstop.core.signals.rule import Asked, Rule
from backstop.core.tally import Tally

Figures = tuple[float, float, float]


class Measurements(NamedTuple):
    """What many rules amount to: a number, whether it is ``breached``, and ``samples``, by rule.

    All as in a Measurement; ``say`` returns the number of a rule and its limit in words.
    ``others`` holds what arrays cannot, by rule; the arrays mean nothing there.
    """

    value: Floats
    breached: NDArray[np.bool_]
    samples: Floats
    say: Callable[[int], str]
    others: Mapping[int, Measured]

    def rows(self) -> list[Measured]:
        """Return each as an object."""
        columns = (self.value.tolist(), self.breached.tolist(), self.samples.tolist())
        return [
            self.others.get(number) or Measurement(value, breached, partial(self.say, number), many)
            for number, (value, breached, many) in enumerate(zip(*columns, strict=True))
        ]


class ColumnRule(Rule):
    """A kind that measures rules that are alike at once, in arrays."""

    @property
    @abstractmethod
    def measures_as(self) -> type:
        """What rules have in common that can be measured together."""

    @property
    @abstractmethod
    def figures(self) -> Figures:
        """What the arrays hold of the rule."""

    @classmethod
    @abstractmethod
    def measure_columns(
        cls,
        rules: Sequence[Self],
        figures: Floats,
        places: Indices,
        asked: Callable[[int], Asked],
        tally: Tally,
    ) -> Measurements:
        """Return what each of ``rules`` amounts to, which all measure the same.

        ``figures``, shape (rules, 3), are theirs. ``places`` is where their answers stand in
        ``tally``, -1 where no raw samples were asked for. ``asked`` returns what was answered to
        one of them, for a closer look.
        """

    @classmethod
    def measure_all(
        cls, rules: Sequence[Self], asked: Sequence[Asked], tally: Tally
    ) -> list[Measured]:
        """Return what each amounts to as an object; see :meth:`Rule.measure_all`."""
        found: dict[int, Measured] = {}
        for numbers in together(rule.measures_as for rule in rules).values():
            ours = [rules[number] for number in numbers]
            asked_ours = [asked[number] for number in numbers]
            measured = cls.measure_columns(
                ours,
                np.array([rule.figures for rule in ours]),
                np.array([one.place for one in asked_ours]),
                asked_ours.__getitem__,
                tally,
            )
            found.update(zip(numbers, measured.rows(), strict=True))
        return [found[number] for number in range(len(rules))]


_T = TypeVar("_T")


def together(keys: Iterable[_T]) -> dict[_T, list[int]]:
    """Return, by key, the numbers of those that have it."""
    found: dict[_T, list[int]] = {}
    for number, key in enumerate(keys):
        found.setdefault(key, []).append(number)
    return found
