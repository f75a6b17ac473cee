"""How long it takes to judge 10,000 monitors in one pass, and how that grows.

The answers are what Prometheus returns for 15 s scrapes: raw samples of two pods for each question,
and each monitor has its own. Four signals a monitor: errors, slow requests from a histogram, a
share of missing values, and a gauge. Timed is everything from the parsed answers to the verdicts,
on one core: the pass after three others, with samples that none of them has seen. The arrays that
an answer is counted by belong to parsing; what they take is told beside it.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.words import Arm, Verdict
from backstop.core.inquiry import Inquiries, inquiries
from backstop.core.judging import look_all
from backstop.core.samples import Reading, Series, SeriesSet
from backstop.core.verdicts import Look, Sight
from backstop.runtime import collector

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
_EVERY: Final = 15.0
_SCRAPES: Final = 4
_BEFORE: Final = 3
"""So many passes come before the one that is timed, so that there is something to remember."""


class _Times(NamedTuple):
    """Seconds that one pass took, by the clock and of the processor."""

    wall: float
    processor: float


def main() -> None:
    """Print a table of times by number of monitors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=9, help="how many passes are timed")
    parser.add_argument("--monitors", type=int, nargs="+", default=[1, 100, 1_000, 10_000])
    parser.add_argument(
        "--collector",
        choices=("operator", "python", "off"),
        default="operator",
        help="how the garbage collector is set; the operator sets its own",
    )
    options = parser.parse_args()
    table = Table(title="judging in one pass, four signals a monitor (milliseconds)")
    for name in ("monitors", "series", "parsing", "CPU min", "CPU median", "wall min"):
        table.add_column(name, justify="right")
    for name in ("wall median", "wall max", "of the budget"):
        table.add_column(name, justify="right")
    for monitors in options.monitors:
        table.add_row(*_row(monitors, options.passes, options.collector))
    Console().print(table)
    Console().print(
        f"The budget is {BUDGET * 1000:.0f} ms for 10,000 monitors; the last column is the share of"
        " it that the median of the processor's time is. Parsing is only the arrays of the answers."
    )


def _row(monitors: int, passes: int, setting: str) -> list[str]:
    asked = [_inquiries(number) for number in range(monitors)]
    looks: list[Look] = []
    for number in range(_BEFORE):
        looks = _pass(asked, looks, _readings(asked, number), number)
    readings = _readings(asked, _BEFORE)
    parsing = _parsing(readings)
    _set(setting)
    times = [_timed(asked, looks, readings) for _ in range(passes)]
    gc.enable()
    series = sum(len(reading.series) for reading in readings.values())
    wall, processor = ([1000 * one for one in column] for column in zip(*times, strict=True))
    middle = statistics.median(processor)
    figures = (parsing * 1000, min(processor), middle, min(wall), statistics.median(wall))
    shown = [f"{one:.1f}" for one in (*figures, max(wall))]
    return [f"{monitors:,}", f"{series:,}", *shown, f"{middle / BUDGET / 1000:.2f}"]


def _set(setting: str) -> None:
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    if setting == "operator":
        collector.settle()
    elif setting == "off":
        gc.collect()
        gc.disable()


def _parsing(readings: Mapping[str, Reading]) -> float:
    """Return how many seconds it takes to make the arrays of all answers, and keep them."""
    begun = time.process_time()
    for reading in readings.values():
        if isinstance(reading.series, SeriesSet):
            _ = reading.series.columns
    return time.process_time() - begun


def _timed(
    asked: Sequence[Inquiries], before: Sequence[Look], readings: Mapping[str, Reading]
) -> _Times:
    begun, worked = time.perf_counter(), time.process_time()
    looks = _pass(asked, before, readings, _BEFORE)
    times = _Times(time.perf_counter() - begun, time.process_time() - worked)
    verdicts = [verdict for look in looks for verdict in look.verdicts]
    if any(verdict.verdict is not Verdict.HEALTHY for verdict in verdicts):
        raise SystemExit("not all is Healthy: the benchmark measures the wrong thing")
    at = {verdict.clean_at for verdict in verdicts}
    if at != {_NOW + _BEFORE * _EVERY}:
        raise SystemExit("not all samples are new: the benchmark measures the wrong thing")
    return times


def _pass(
    asked: Sequence[Inquiries],
    before: Sequence[Look],
    readings: Mapping[str, Reading],
    number: int,
) -> list[Look]:
    begins = {Arm.TARGET: 0.0}
    known = [look.histories for look in before] if before else [{}] * len(asked)
    sights = [Sight(one, past, begins) for one, past in zip(asked, known, strict=True)]
    return look_all(sights, readings, now=_NOW + number * _EVERY)


def _inquiries(number: int) -> Inquiries:
    spec = ModelMonitorSpec.model_validate(
        {
            "preset": "backstop",
            "target": {"name": f"model-{number}", "metricLabels": {"app": f"model-{number}"}},
            "signals": _SIGNALS,
        }
    )
    return inquiries(spec, "demo")


def _readings(asked: Sequence[Inquiries], number: int) -> dict[str, Reading]:
    """Return what is answered in round ``number``; counters go on from round to round."""
    random = np.random.default_rng(1)
    times = _NOW + _EVERY * (number - np.arange(_SCRAPES, dtype=np.float64)[::-1])
    found: dict[str, Reading] = {}
    for place, monitor in enumerate(asked):
        for inquiry in monitor.values():
            for role, question in inquiry.questions.items():
                series = _answer(f"10.{place // 250}.{place % 250}", role, times, random)
                found[question.promql] = Reading(tuple(series))
    return found


def _answer(
    network: str, role: str, times: NDArray[np.float64], random: np.random.Generator
) -> list[Series]:
    found = []
    scrapes = (times - _NOW) / _EVERY + _SCRAPES
    for pod in ("a", "b"):
        labels = {"job": "model", "instance": f"{network}.{pod}:8080", "pod": pod}
        begun = float(random.integers(0, 1_000_000))
        if role == "value":
            found.append(Series(labels, times, random.uniform(0.3, 0.7, times.size)))
            break
        if role == "buckets":
            for place, edge in enumerate(_EDGES):
                counts = begun + scrapes * 200.0 * (0.97 + 0.006 * place)
                found.append(Series({**labels, "le": edge}, times, counts))
            continue
        per_scrape = 1.0 if role in {"errors", "part"} else 200.0
        found.append(Series(labels, times, begun + scrapes * per_scrape))
    return found


if __name__ == "__main__":
    main()
