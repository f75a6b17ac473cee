"""How often the sequential tests alarm for nothing, and how soon they find what is there.

Simulated requests run through the very functions that the operator uses, beside reference figures
from an independent simulation. Unless a row says otherwise: 1 request/s on the candidate, 99 on
stable, a look each 30 s, 6 h, margin 1, and errors drawn independently per request.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from backstop.core.statistics.sequential import Floats, not_worse
from backstop_lab.bench.simulation import CANDIDATE, STABLE, Simulation, Statistic, first_looks

LOOK: Final = 30.0
LOOKS: Final = 720
ALPHAS: Final = (0.05, 0.01, 0.001)
RUN_LENGTH: Final = 20_000
HEALTHY_LOOKS: Final = 2000
NULL_LOOKS: Final = 19_872


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table; ``ratio`` is None without a reference, ``fault`` is empty when fine."""

    case: str
    ours: str
    reference: str
    ratio: float | None
    fault: str = ""


def share(statistic: Statistic, bounds: Sequence[float], looks: int = LOOKS) -> list[float]:
    """Return, for each bound, the share of runs that ever reach it."""
    found: list[float] = np.isfinite(first_looks(statistic, bounds, looks)).mean(axis=1).tolist()
    return found


def alarm(case: str, rate: float, alpha: float, runs: int, reference: str = "-") -> Line:
    """Return the row of a false-alarm rate: a fault if above alpha by three standard errors."""
    error = math.sqrt(alpha * (1.0 - alpha) / runs)
    fault = "above alpha" if rate > alpha + 3.0 * error else ""
    ours = f"{rate:.2%} (alpha {alpha:.1%} +- {error:.2%})"
    return Line(case, ours, reference, rate / alpha, fault)


def delay(case: str, looks: Floats, reference: float | None = None, *, all_runs: bool) -> Line:
    """Return the row of a median delay: a fault if it is off by over 10 % and over one look."""
    counted = looks[~np.isnan(looks)] if all_runs else looks[np.isfinite(looks)]
    seconds = float(np.median(counted)) * LOOK
    found = f"{np.isfinite(looks).sum() / (~np.isnan(looks)).sum():.1%} found"
    if reference is None:
        return Line(case, f"{seconds:.0f} s, {found}", "-", None)
    off = abs(seconds - reference) > max(0.1 * reference, LOOK)
    ours = f"{seconds:.0f} s, {found}"
    return Line(case, ours, f"{reference:.0f} s", seconds / reference, "off" if off else "")


def bounds_of(alphas: Sequence[float]) -> list[float]:
    """Return what ln E must reach at each level."""
    return [-math.log(alpha) for alpha in alphas]


def false_alarms(scale: float) -> list[Line]:
    """Compare equal rates, without and with AR(1) log-normal shocks (sd 0.8) that both share."""
    lines = []
    calm = dict(zip(ALPHAS, ("0.9-1.8 %", "0.25-0.40 %", "<= 0.05 %"), strict=True))
    stormy = dict(zip(ALPHAS, ("-", "0.1-0.45 %", "-"), strict=True))
    for seed, (rate, shocked) in enumerate(
        [(rate, shocked) for shocked in (False, True) for rate in (0.001, 0.005, 0.02)]
    ):
        simulation = Simulation(100 + seed, 5000, scale)
        rates = share(simulation.arms(rate, 1.0, shocked=shocked), bounds_of(ALPHAS))
        for alpha, found in zip(ALPHAS, rates, strict=True):
            case = f"errors {rate:.1%}" + (", shared shocks" if shocked else "")
            reference = (stormy if shocked else calm)[alpha]
            lines.append(alarm(case, found, alpha, simulation.runs, reference))
    return lines


def at_the_margin(scale: float) -> list[Line]:
    """Put the candidate exactly at the margin 1.25, with rare errors and with frequent ones."""
    lines = []
    cases = [(r, q) for r in (0.005, 0.2, 0.35, 0.5) for q in ((CANDIDATE, STABLE), (300, 300))]
    for seed, (rate, requests) in enumerate(cases):
        simulation = Simulation(200 + seed, 2000, scale)
        statistic = simulation.arms(rate, 1.25, 1.25, requests=requests)
        for alpha, found in zip(ALPHAS, share(statistic, bounds_of(ALPHAS)), strict=True):
            case = f"errors {rate:.1%} and {1.25 * rate:.2%}, {requests[0]}:{requests[1]} requests"
            lines.append(alarm(case, found, alpha, simulation.runs))
    return lines


DELAYS: Final = {
    (0.001, 2): (11520, 14010),
    (0.001, 4): (2145, 3120),
    (0.001, 10): (390, 570),
    (0.001, 50): (60, 90),
    (0.005, 2): (3090, 4410),
    (0.005, 4): (450, 660),
    (0.005, 10): (90, 150),
    (0.005, 50): (30, 30),
    (0.02, 2): (810, 1170),
    (0.02, 4): (120, 180),
    (0.02, 10): (30, 60),
}
FOUND: Final = {0.01: 0.71, 0.001: 0.50}
MARGINS: Final = {(1.25, 2): 6765, (1.5, 2): 18285, (1.25, 4): 630, (1.25, 10): 90, (1.5, 10): 120}


def delays(scale: float) -> list[Line]:
    """Take the median delay of the runs that are decided within 6 h."""
    lines = []
    levels = (0.01, 0.001)
    for seed, ((rate, ratio), references) in enumerate(DELAYS.items()):
        simulation = Simulation(300 + seed, 4000, scale)
        looks = first_looks(simulation.arms(rate, ratio), bounds_of(levels), LOOKS)
        for alpha, found, reference in zip(levels, looks, references, strict=True):
            case = f"errors {rate:.1%}, ratio {ratio}, alpha {alpha:.1%}"
            lines.append(delay(case, found, reference, all_runs=False))
            if (rate, ratio) == (0.001, 2):
                part, expected = float(np.isfinite(found).mean()), FOUND[alpha]
                off = "off" if abs(part / expected - 1.0) > 0.1 else ""
                known = f"{expected:.0%} found"
                lines.append(Line(case, f"{part:.1%} found", known, part / expected, off))
    return lines


def margins(scale: float) -> list[Line]:
    """Take the median of all runs, undecided ones included; errors 0.5 %, alpha 1 %."""
    lines = []
    for seed, ((margin, ratio), reference) in enumerate(MARGINS.items()):
        simulation = Simulation(400 + seed, 4000, scale)
        (looks,) = first_looks(simulation.arms(0.005, ratio, margin), bounds_of((0.01,)), LOOKS)
        case = f"margin {margin}, ratio {ratio}"
        lines.append(delay(case, looks, reference, all_runs=True))
    return lines


LATENCIES: Final = {
    (1.1, 0.0): 1740,
    (1.2, 0.0): 420,
    (1.5, 0.0): 90,
    (2.0, 0.0): 30,
    (1.0, 0.01): 2040,
    (1.0, 0.02): 600,
    (1.0, 0.05): 150,
}


def latencies(scale: float) -> list[Line]:
    """Draw log-normal latency, median 100 ms, sigma 0.6; average edges 100, 200 and 400 ms."""
    bounds = bounds_of((0.01,))
    lines = []
    for seed, ((slowdown, tail), reference) in enumerate(LATENCIES.items()):
        simulation = Simulation(500 + seed, 2000, scale)
        (looks,) = first_looks(simulation.latency(slowdown, tail), bounds, LOOKS)
        case = f"{tail:.0%} take 2 s more" if tail else f"x {slowdown}"
        lines.append(delay(case, looks, reference, all_runs=False))
    simulation = Simulation(550, 1000, scale)
    (found,) = share(simulation.latency(1.0, 0.0), bounds)
    lines.append(alarm("equal latency", found, 0.01, simulation.runs, "0 of 1000"))
    return lines


def after_promotion(scale: float) -> list[Line]:
    """Change the rate of 0.5 % after 16.7 h of health; or never, and count the alarms."""
    bound = [math.log(RUN_LENGTH)]
    lines = []
    for seed, (ratio, reference) in enumerate({2: 3390, 4: 720, 10: 180}.items()):
        simulation = Simulation(600 + seed, 1500, scale)
        statistic = simulation.restarting(0.005, ratio, HEALTHY_LOOKS)
        (looks,) = first_looks(statistic, bound, LOOKS, start=HEALTHY_LOOKS)
        lines.append(delay(f"ratio {ratio}", looks, reference, all_runs=False))
    simulation = Simulation(650, 800, scale)
    (found,) = share(simulation.restarting(0.005, 1.0, 0), bound, NULL_LOOKS)
    limit = NULL_LOOKS / RUN_LENGTH
    fault = "above the bound" if found > limit else ""
    error = math.sqrt(found * (1.0 - found) / simulation.runs)
    ours = f"{found:.1%} +- {error:.1%} (bound {limit:.1%})"
    lines.append(Line("any alarm in 6.9 d of health", ours, "28 %", found / 0.28, fault))
    return lines


def baselines(scale: float) -> list[Line]:
    """Hold 10 requests/s against 20,000 earlier ones; alpha 0.5 % and 0.5 % for the baseline."""
    alpha, bounds = 0.01, bounds_of((0.005,))
    lines = []
    for seed, margin in enumerate((1.0, 1.25)):
        simulation = Simulation(700 + seed, 2000, scale)
        (found,) = share(simulation.baseline(margin, margin, 0.005, shocked=False), bounds)
        lines.append(alarm(f"exactly at margin {margin}", found, alpha, simulation.runs))
    for seed, ratio in enumerate((2, 4, 10)):
        simulation = Simulation(710 + seed, 2000, scale)
        statistic = simulation.baseline(ratio, 1.0, 0.005, shocked=False)
        (looks,) = first_looks(statistic, bounds, LOOKS)
        lines.append(delay(f"ratio {ratio}, margin 1", looks, all_runs=False))
    wrong = (("not done: baseline paired anew each look", False, True),)
    for case, shocked, naive in (*wrong, ("not covered: shocks since the baseline", True, False)):
        simulation = Simulation(720 + shocked, 2000, scale)
        statistic = simulation.baseline(1.0, 1.0, 0.005, shocked=shocked, naive=naive)
        (found,) = share(statistic, bounds_of((0.01,)) if naive else bounds)
        lines.append(Line(case, f"{found:.1%} alarm for nothing", "-", found / alpha))
    return lines


def others(scale: float) -> list[Line]:
    """Run the mirrored test, errors 0.5 %, and the check of the split."""
    alpha, bounds = 0.01, bounds_of((0.01,))
    simulation = Simulation(800, 10_000, scale)
    rates = share(simulation.arms(0.005, 2.0, 2.0, test=not_worse), bounds_of(ALPHAS))
    lines = [
        alarm("promotes though exactly twice as bad", found, level, simulation.runs)
        for level, found in zip(ALPHAS, rates, strict=True)
    ]
    for seed, ratio in enumerate((1.0, 0.5)):
        statistic = Simulation(810 + seed, 1000, scale).arms(0.005, ratio, 2.0, test=not_worse)
        (looks,) = first_looks(statistic, bounds, LOOKS)
        case = f"proves ratio {ratio} to be below 2"
        lines.append(delay(case, looks, all_runs=False))
    simulation = Simulation(820, 500, scale)
    (found,) = share(simulation.split(0.01, 0.01), bounds)
    lines.append(alarm("split as configured, 1:99", found, alpha, simulation.runs))
    for seed, actual in enumerate((0.011, 0.012, 0.02)):
        (looks,) = first_looks(
            Simulation(830 + seed, 500, scale).split(actual, 0.01), bounds, LOOKS
        )
        lines.append(delay(f"split {actual:.1%} instead of 1 %", looks, all_runs=False))
    return lines


def pods(scale: float) -> list[Line]:
    """Ask at the decision of 0.5 % errors, alpha 1 %, margin 1.25, which of the pods is bad."""
    risk = 0.05
    lines = []
    cases = ((20, 1, 1), (10, 1, 1), (10, 1), (20, 20, 1), (4, 4, 4), (10, 10, 10), (8, 2, 2))
    for seed, ratios in enumerate(cases):
        simulation = Simulation(900 + seed, 2000, scale)
        named = simulation.named_pods(ratios, -math.log(0.01), 2 * LOOKS)
        first = sum(pod == 0 for pod in named) / len(named)
        other = sum(pod not in {0, None} for pod in named) / len(named)
        limit = risk + 3.0 * math.sqrt(risk * (1.0 - risk) / len(named))
        equal = len(set(ratios)) == 1
        fault = "above the risk" if equal and first + other > limit else ""
        ours = f"first {first:.1%}, another {other:.1%}"
        ratio = (first + other) / risk if equal else None
        case = "pods with ratios " + ", ".join(map(str, ratios))
        lines.append(Line(case, ours, "<= 5 %" if equal else "-", ratio, fault))
    return lines


SECTIONS: Final = (
    ("False alarms within 720 looks", false_alarms),
    ("False alarms at the margin 1.25", at_the_margin),
    ("Median delay, margin 1", delays),
    ("Median delay with a margin", margins),
    ("Latency, alpha 1 %", latencies),
    ("After promotion: restarting test, A = 20,000 looks", after_promotion),
    ("Against a baseline", baselines),
    ("Which pod is named", pods),
    ("Mirrored test and split, alpha 1 %", others),
)

RULES: Final = """\
A false-alarm rate is a fault when it is above alpha by more than three binomial standard
errors, since some fifty rates are checked; the error is stated beside alpha.
A delay is a fault when it differs from its reference by more than 10 % and by more than one look:
delays are whole looks of 30 s, so a difference of one look is taken as equal.
Delays are medians of the decided runs; with a margin, of all runs (an undecided one is infinite).
Ratio: of a false-alarm rate to alpha, of anything else to the reference."""


def show(console: Console, title: str, about: str, lines: Sequence[Line]) -> None:
    """Print one table."""
    table = Table(title=title, caption=about, title_justify="left", caption_justify="left")
    table.add_column("case")
    for name in ("ours", "reference", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("fault")
    for line in lines:
        ratio = "-" if line.ratio is None else f"{line.ratio:.2f}"
        table.add_row(line.case, line.ours, line.reference, ratio, line.fault)
    console.print(table)


def main() -> int:
    """Run as `python -m backstop_lab.bench.statistics`."""
    parser = argparse.ArgumentParser(description="Measure error rates and delays of the tests.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the runs")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()
    faults = 0
    for title, section in SECTIONS:
        lines = section(0.25 if arguments.quick else 1.0)
        show(console, title, section.__doc__ or "", lines)
        faults += sum(bool(line.fault) for line in lines)
    console.print(RULES)
    console.print(f"{faults} faults; {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
