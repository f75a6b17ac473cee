"""How long it takes to judge 10,000 monitors in one pass, and how that grows.

The answers are what Prometheus returns for 15 s scrapes: raw samples of two pods for each question.
Four signals a monitor: errors, slow requests from a histogram, a share of missing values, and a
gauge. Timed is everything from the parsed answers to the verdicts, on one core.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.status import Arm
from backstop.core.inquiry import Inquiry, SignalKey, inquiries
from backstop.core.judging import look_all
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import Look, Sight

BUDGET: Final = 0.300
"""Seconds for 10,000 monitors of 4 signals each, by the design."""

_SIGNALS: Final[list[dict[str, Any]]] = [
    {"name": "errors", "window": "1m", "threshold": {"errors": {}, "max": "5%"}},
    {"name": "slow", "window": "1m", "threshold": {"latency": {"above": "250ms"}, "max": "10%"}},
    {
        "name": "missing",
        "window": "1m",
        "pillar": "data",
        "threshold": {
            "ratio": {"part": "model_feature_missing_total", "whole": "model_values_total"},
            "max": "1%",
        },
    },
    {
        "name": "score",
        "window": "1m",
        "pillar": "model",
        "threshold": {"promql": {"expr": "model_score_mean"}, "min": "0.1", "max": "0.9"},
    },
]
_EDGES: Final = ("0.05", "0.1", "0.25", "0.5", "1", "+Inf")
_NOW: Final = 1_800_000_000.0
_SCRAPES: Final = 4


def main() -> None:
    """Print a table of times by number of monitors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=9, help="how many passes are timed")
    parser.add_argument("--monitors", type=int, nargs="+", default=[1, 100, 1_000, 10_000])
    options = parser.parse_args()
    table = Table(title="judging in one pass, four signals a monitor (seconds)")
    for name in ("monitors", "series", "min", "median", "max", "of the budget"):
        table.add_column(name, justify="right")
    for monitors in options.monitors:
        table.add_row(*_row(monitors, options.passes))
    Console().print(table)
    Console().print(
        f"The budget is {BUDGET * 1000:.0f} ms for 10,000 monitors; the last column is the median's"
        " share of it."
    )


def _row(monitors: int, passes: int) -> list[str]:
    asked = [_inquiries(number) for number in range(monitors)]
    rounds = [_readings(asked, number) for number in range(3)]
    times, looks = [], _pass(asked, None, rounds[0], _NOW)
    for number in range(passes):
        gc.collect()
        begun = time.perf_counter()
        looks = _pass(asked, looks, rounds[number % 3], _NOW + number % 3 * 15.0)
        times.append(time.perf_counter() - begun)
    unknown = sum(bool(verdict.reason) for look in looks for verdict in look.verdicts)
    if unknown:
        raise SystemExit(f"{unknown} verdicts are Unknown: the benchmark measures the wrong thing")
    series = sum(len(reading.series) for reading in rounds[0].values())
    middle = statistics.median(times)
    spread = [f"{one:.4f}" for one in (min(times), middle, max(times))]
    return [f"{monitors:,}", f"{series:,}", *spread, f"{middle / BUDGET:.2f}"]


def _pass(
    asked: Sequence[dict[SignalKey, Inquiry]],
    before: Sequence[Look] | None,
    readings: dict[str, Reading],
    now: float,
) -> list[Look]:
    begins = {Arm.TARGET: 0.0}
    known = [look.histories for look in before] if before else [{}] * len(asked)
    sights = [Sight(one, past, begins) for one, past in zip(asked, known, strict=True)]
    return look_all(sights, readings, now=now)


def _inquiries(number: int) -> dict[SignalKey, Inquiry]:
    spec = ModelMonitorSpec.model_validate(
        {
            "preset": "backstop",
            "target": {"name": f"model-{number}", "metricLabels": {"app": f"model-{number}"}},
            "signals": _SIGNALS,
        }
    )
    return inquiries(spec, "demo")


def _readings(asked: Sequence[dict[SignalKey, Inquiry]], number: int) -> dict[str, Reading]:
    random = np.random.default_rng(number)
    times = _NOW + number * 15.0 - 15.0 * np.arange(_SCRAPES)[::-1]
    found: dict[str, Reading] = {}
    for monitor in asked:
        for inquiry in monitor.values():
            for role, question in inquiry.questions.items():
                found[question.promql] = Reading(tuple(_answer(role, times, random)))
    return found


def _answer(role: str, times: np.ndarray[Any, Any], random: np.random.Generator) -> list[Series]:
    found = []
    for pod in ("a", "b"):
        labels = {"job": "model", "instance": f"10.0.0.{pod}:8080", "pod": pod}
        begun = random.integers(0, 1_000_000)
        if role == "value":
            found.append(Series(labels, times, random.uniform(0.3, 0.7, times.size)))
            break
        if role == "buckets":
            for place, edge in enumerate(_EDGES):
                counts = begun + np.arange(times.size) * 200.0 * (0.97 + 0.006 * place)
                found.append(Series({**labels, "le": edge}, times, counts.astype(np.float64)))
            continue
        per_scrape = 1.0 if role in {"errors", "part"} else 200.0
        counts = begun + np.arange(times.size) * per_scrape
        found.append(Series(labels, times, counts.astype(np.float64)))
    return found


if __name__ == "__main__":
    main()
