"""From counts of many features to what is said of them: which drifted, and the worst in a sentence.

All features are one pass over arrays. What a spec says comes in as :class:`Terms`, so that nothing
here depends on how it is written.
"""

import math
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.measurement import Missing, UnknownReason
from backstop.core.measures.effects import SAID, By, Compared, Sizes, measure_sizes
from backstop.core.measures.features import Cube, Floats, Found
from backstop.core.measures.past import Baseline, baseline
from backstop.core.statistics.discoveries import benjamini_hochberg, own_history_threshold
from backstop.core.statistics.divergence import unseen_share
from backstop.core.units import say_share

_LONGEST_NAME: Final = 64


class Terms(NamedTuple):
    """When a feature has drifted, and how to speak of it.

    ``limit`` is the largest effect size that is no drift, ``alpha`` how often chance may exceed the
    floor, ``rate`` the share of false discoveries, ``least`` the fewest samples that count.
    ``against`` names the reference; where it is empty the reference is past windows. ``many`` and
    ``ordered`` are as in a Watched, ``noun`` is what it is called.
    """

    by: By
    limit: float
    alpha: float
    rate: float
    least: int
    bounds: tuple[float, float] | None
    against: str
    noun: str
    many: bool
    ordered: bool


class Table(NamedTuple):
    """All features of a look, one row each.

    ``n`` and ``n_reference`` are how many samples there are, ``usual`` is the largest usual size
    (NaN where the feature is not calibrated). Nothing is said of those that are not ``judged``.
    """

    cube: Cube
    sizes: Sizes
    past: Baseline
    n: Floats
    n_reference: Floats
    usual: Floats
    drifted: NDArray[np.bool_]
    judged: NDArray[np.bool_]

    @property
    def healthy_sizes(self) -> Floats:
        """The effect sizes of features of which all is well, NaN for the others."""
        return np.where(self.judged & ~self.drifted, self.sizes.effect, np.nan)


def judge(cube: Cube, terms: Terms, memory: Floats) -> Table:
    """Return which features of ``cube`` have drifted.

    ``memory``, shape (features, windows), holds effect sizes of earlier windows, NaN where unknown.
    """
    sized = partial(_sizes, cube, terms)
    current, past = cube.counts[0], baseline(cube.counts[1:], sized, terms.limit)
    sizes = sized(past.reference, current)
    n, n_reference = current.sum(axis=-1), past.reference.sum(axis=-1)
    known = np.isfinite(sizes.effect) & (n >= max(terms.least, 1))
    usual = own_history_threshold(np.concatenate((past.sizes, memory), axis=1))
    sure = benjamini_hochberg(np.where(known, sizes.p_value, np.nan), terms.rate)
    large = known & (sizes.effect > np.maximum(terms.limit, sizes.floor))
    drifted = large & sure & ~(sizes.effect <= usual)
    judged = known & (drifted | (sizes.floor <= terms.limit))
    return Table(cube, sizes, past, n, n_reference, usual, drifted, judged)


def _sizes(cube: Cube, terms: Terms, reference: Floats, current: Floats) -> Sizes:
    compared = Compared(reference, current, cube.edges, terms.ordered, terms.bounds)
    return measure_sizes(terms.by, compared, terms.alpha, terms.limit)


def worst_of(table: Table, terms: Terms) -> int:
    """Return the row of the feature to speak of, of those that are judged: there is one."""
    ratio = table.sizes.effect / np.maximum(terms.limit, table.sizes.floor)
    ratio = np.where(table.judged, ratio, -1.0)
    return int(np.argmax(np.where(table.drifted, ratio + ratio.max() + 1.0, ratio)))


def say(table: Table, worst: int, terms: Terms, found: Found) -> str:
    """Return the numbers of the ``worst`` feature, and how many of how many drifted."""
    effect, usual = float(table.sizes.effect[worst]), float(table.usual[worst])
    limit = max(terms.limit, float(table.sizes.floor[worst]))
    allowed = f"usual up to {usual:.3g}" if usual > limit else f"allowed {limit:.3g}"
    counts = f"{table.n[worst]:,.0f} samples against {table.n_reference[worst]:,.0f}"
    used = (
        f"the median of {table.past.used[worst]} of {table.cube.counts.shape[0] - 1} past windows"
    )
    said = (
        f"{_called(table, worst, terms)}: {SAID[terms.by]} {effect:.3g} against"
        f" {terms.against or used}, {allowed}"
        f" ({counts}{', not calibrated' if math.isnan(usual) else ''})"
    )
    if not terms.ordered:
        share = float(unseen_share(table.past.reference[worst], table.cube.counts[0, worst]))
        said += f", {say_share(share)} in categories not seen before" if share > 0.0 else ""
    if not terms.many:
        return said
    judged = int(table.judged.sum())
    return (
        f"{said}; {int(table.drifted.sum())} of {judged} features drifted"
        + also(len(table.cube.names) - judged, "with too few samples")
        + also(len(found.broken), "without usable numbers")
        + also(len(table.cube.apart), "with other buckets than the reference")
        + also(len(table.cube.unknown), "not in the reference")
    )


def undecided(table: Table, terms: Terms) -> Missing:
    """Return why nothing can be said of any feature."""
    sizes, enough = table.sizes, (table.n >= max(terms.least, 1)) & (table.n_reference > 0.0)
    open_ended = enough & np.isnan(sizes.effect)
    if terms.by is By.WASSERSTEIN and open_ended.any():
        why = (
            f"{_called(table, int(np.argmax(open_ended)), terms)}: nobody knows how far out the"
            " values in the outermost buckets reach, and more than 1 % are there; write a range"
            " from the min to the max of all values that holds all edges, or choose another"
            " statistic"
        )
        return Missing(UnknownReason.BAD_QUERY, why)
    best = int(np.argmax(table.n))
    why = f"{_called(table, best, terms)}: {_shortage(table, best, terms)}"
    why += also(len(table.cube.names) - 1, "others no better")
    return Missing(UnknownReason.INSUFFICIENT_DATA, why)


def _shortage(table: Table, row: int, terms: Terms) -> str:
    n, n_reference = float(table.n[row]), float(table.n_reference[row])
    needed = float(table.sizes.needed[row])
    limit = f"a limit of {SAID[terms.by]} {terms.limit:.3g}"
    if n_reference <= 0.0:
        return "the reference holds no values"
    if n < max(terms.least, 1):
        return f"{n:,.0f} samples in the window, need {max(terms.least, 1):,}"
    if math.isnan(needed):
        return f"{n:,.0f} samples against {n_reference:,.0f} are too few for so many buckets"
    if math.isinf(needed):
        return f"{n_reference:,.0f} samples in the reference are too few for {limit}"
    return f"{n:,.0f} samples in the window, need {needed:,.0f} for {limit}"


def incomparable(cube: Cube, noun: str) -> Missing:
    """Return why no feature has a counterpart in the reference with the same buckets."""
    if cube.apart:
        why = (
            f"the buckets of {short(cube.apart[0])} and those of its reference have fewer than two"
            " edges in common; build the reference with the edges of the exporter"
        )
    else:
        why = f"the reference has none of the {len(cube.unknown)} {noun}; is it of this model?"
    return Missing(UnknownReason.BAD_QUERY, why)


def nothing(found: Found, noun: str) -> Missing:
    """Return why an answer tells nothing of any feature."""
    if not found.broken:
        return Missing(UnknownReason.NO_DATA, f"no series of {noun}")
    name, why = next(iter(found.broken.items()))
    said = f"{short(name)}: {why}{also(len(found.broken) - 1, 'others are no better')}"
    return Missing(UnknownReason.NO_DATA, said)


def _called(table: Table, row: int, terms: Terms) -> str:
    return f"feature {short(table.cube.names[row])}" if terms.many else terms.noun


def also(count: int, what: str) -> str:
    """Return what else is to be said of ``count`` features, nothing if there are none."""
    return f", {count} {what}" if count else ""


def short(name: str) -> str:
    """Return the name of a feature in one line."""
    return " ".join(name.split())[:_LONGEST_NAME]
