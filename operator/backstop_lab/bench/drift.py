"""How often the statistics of drift raise a false alarm, and what a pass over many features costs.

Both samples of a simulation come from the same uniform distribution over the buckets; a reference
holds 100,000 observations. The claims of docs/adr/0011 about sample sizes are these tables.
"""

from __future__ import annotations

import statistics
import time
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from backstop.core.statistics.binning import merge_buckets
from backstop.core.statistics.chi_square import (
    ks_p_value,
    merge_rare,
    pearson,
    psi_test,
    psi_threshold,
    required_samples,
)
from backstop.core.statistics.discoveries import benjamini_hochberg
from backstop.core.statistics.divergence import (
    cells,
    jensen_shannon,
    ks_interval,
    normalised_wasserstein,
    psi,
)
from backstop.core.statistics.sequential import Floats

REFERENCE: Final = 100_000
RUNS: Final = 20_000
SAMPLES: Final = (50, 100, 200, 500, 1_000, 5_000)
LEVELS: Final = (0.05, 0.001)
FIXED: Final = (0.1, 0.2)

EXPECTED: Final = {
    (10, 50, 0.1): "77%",
    (10, 100, 0.1): "32%",
    (10, 200, 0.1): "1.7%",
    (10, 500, 0.1): "0",
    (10, 50, 0.2): "27%",
    (10, 100, 0.2): "1.7%",
    (10, 200, 0.2): "0",
    (20, 50, 0.1): "99.7%",
    (20, 100, 0.1): "91%",
    (20, 200, 0.1): "34%",
}
"""What an independent simulation of the fixed thresholds gave, by buckets, n and threshold."""

FEATURES: Final = 1_000
BUCKETS: Final = 20
PASSES: Final = 50
BUDGET_MS: Final = 20.0


def draw(
    rng: np.random.Generator, buckets: int, current: int, runs: int = RUNS
) -> tuple[Floats, Floats]:
    """Return counts of both sides without drift, shape (runs, buckets)."""
    even = np.full(buckets, 1.0 / buckets)
    return (
        rng.multinomial(REFERENCE, even, size=runs).astype(np.float64),
        rng.multinomial(current, even, size=runs).astype(np.float64),
    )


def false_alarms(buckets: int, rng: np.random.Generator) -> Table:
    """Return how often PSI alarms without drift, by sample size."""
    table = Table(title=f"False alarms of PSI without drift: {buckets} buckets")
    table.add_column("n", justify="right")
    for level in LEVELS:
        table.add_column(f"test at {level:.1%}", justify="right")
    for limit in FIXED:
        table.add_column(f"PSI > {limit}", justify="right")
        table.add_column("expected", justify="right")
    table.add_column("n enough for", justify="right")
    for n in SAMPLES:
        reference, current = draw(rng, buckets, n)
        index, occupied = psi(reference, current), cells(reference, current)
        p = psi_test(index, REFERENCE, n, occupied)
        row = [f"{(p < level).mean():.2%}" for level in LEVELS]
        for limit in FIXED:
            row += [f"{(index > limit).mean():.2%}", EXPECTED.get((buckets, n, limit), "")]
        limits = psi_threshold(FIXED, LEVELS[-1], buckets, REFERENCE, n)
        enough = [str(limit) for limit, ok in zip(FIXED, limits.sufficient, strict=True) if ok]
        table.add_row(str(n), *row, ", ".join(enough) or "none")
    needed = required_samples(FIXED, LEVELS[-1], buckets, REFERENCE)
    told = ", ".join(f"{limit}: n >= {n:.0f}" for limit, n in zip(FIXED, needed, strict=True))
    table.caption = f"enough at {LEVELS[-1]:.1%} for {told}"
    return table


def judge(reference: Floats, current: Floats, edges: Floats) -> int:
    """Do everything that a look at all features needs; return how many have drifted."""
    n_reference, n_current = reference.sum(axis=-1), current.sum(axis=-1)
    occupied = cells(reference, current)
    index = psi(reference, current)
    limit = psi_threshold(0.1, LEVELS[-1], occupied, n_reference, n_current)
    low, _ = ks_interval(reference, current)
    tests = np.stack(
        (
            psi_test(index, n_reference, n_current, occupied),
            ks_p_value(low, n_reference, n_current),
            pearson(*merge_rare(reference, current)).p_value,
        )
    )
    sure = benjamini_hochberg(tests).all(axis=0)
    distance = jensen_shannon(reference, current)
    moved = normalised_wasserstein(reference, current, edges, (0.0, float(BUCKETS)))
    large = limit.sufficient & (index > limit.threshold) & (distance > 0.1) & (moved > 0.1)
    return int((sure & large).sum())


def cost(rng: np.random.Generator) -> Table:
    """Return how long a pass takes."""
    reference, current = draw(rng, BUCKETS, 1_000, FEATURES)
    edges = np.append(np.arange(1.0, BUCKETS), np.inf)
    fine = rng.multinomial(REFERENCE, np.full(160, 1.0 / 160.0), size=FEATURES).astype(np.float64)
    table = Table(title=f"{FEATURES:,} features, {PASSES} passes, ms")
    for column in ("work", "min", "median", "max", "budget"):
        table.add_column(column, justify="right")
    judging, merging = [], []
    for _ in range(PASSES):
        begin = time.perf_counter()
        judge(reference, current, edges)
        middle = time.perf_counter()
        merge_buckets(fine, fine)
        judging.append(1e3 * (middle - begin))
        merging.append(1e3 * (time.perf_counter() - middle))
    for name, times, budget in (
        (f"judge {BUCKETS} buckets", judging, f"{BUDGET_MS:.0f}"),
        ("merge 160 buckets to 10", merging, ""),
    ):
        figures = (min(times), statistics.median(times), max(times))
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), budget)
    return table


def main() -> None:
    """Print the tables."""
    console = Console()
    rng = np.random.default_rng(11)
    for buckets in (10, 20):
        console.print(false_alarms(buckets, rng))
    console.print(cost(rng))


if __name__ == "__main__":
    main()
