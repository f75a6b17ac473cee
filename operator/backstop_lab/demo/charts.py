"""One chart per scenario: what users saw with and without Backstop, and where the traffic went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from backstop_lab.demo.report import Pair, pairs
from backstop_lab.demo.results import Result

_INK, _MUTED, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_WITH, _WITHOUT = "#0b6e99", "#d1495b"
_SERVICE_COLOURS = ("#4c9bc1", "#b79ad6", "#edae49")
_MARKS = ("detected", "mitigated", "repaired", "resolved")
_SMOOTH_POINTS = 2
_BEFORE_SECONDS = 2.0
_SIZE = (10.0, 5.4)
_DPI = 130


def draw_all(played: Sequence[Result], directory: Path) -> dict[str, str]:
    """Draw each scenario into `directory`, and return the file names by scenario."""
    drawn: dict[str, str] = {}
    for pair in pairs(played):
        drawn[pair.acted.scenario] = f"{pair.acted.scenario}.png"
        draw(pair, directory / drawn[pair.acted.scenario])
    return drawn


def draw(pair: Pair, path: Path) -> None:
    """Draw one scenario as PNG."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 2), hspace=0.16)
    errors = figure.add_subplot(grid[0])
    weights = figure.add_subplot(grid[1], sharex=errors)
    _draw_errors(errors, pair)
    _draw_weights(weights, pair.acted)
    _draw_marks(errors, weights, pair.acted)
    onset = _onset(pair.acted)
    errors.set_xlim(-onset - _BEFORE_SECONDS, pair.acted.lasted - onset)
    errors.set_title(_headline(pair), loc="left", fontsize=13, color=_INK, pad=34, weight="bold")
    figure.savefig(path, bbox_inches="tight", pad_inches=0.2)


def _headline(pair: Pair) -> str:
    with_backstop = f"{pair.acted.requests.failed:,} failed requests with Backstop"
    if pair.observed is None:
        return f"{pair.acted.title}: {with_backstop}"
    return f"{pair.acted.title}: {with_backstop}, {pair.observed.requests.failed:,} without"


def _draw_errors(axes: Axes, pair: Pair) -> None:
    highest = 0.05
    for result, colour, name in (
        (pair.observed, _WITHOUT, "without Backstop"),
        (pair.acted, _WITH, "with Backstop"),
    ):
        if result is None or not result.error_ratio:
            continue
        onset = _onset(result)
        times = [at - onset for at, _ in result.error_ratio]
        ratios = [ratio for _, ratio in result.error_ratio]
        highest = max(highest, *ratios)
        axes.plot(times, ratios, color=colour, linewidth=2, label=name, solid_joinstyle="round")
        axes.fill_between(times, ratios, color=colour, alpha=0.12, linewidth=0)
    axes.set_ylim(0, min(1.02, highest * 1.15))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylabel("requests failing", color=_MUTED)
    axes.legend(loc="upper left", framealpha=1, edgecolor="white", labelcolor=_INK)
    axes.tick_params(labelbottom=False)
    _plain(axes)


def _draw_weights(axes: Axes, result: Result) -> None:
    onset = _onset(result)
    times = [at - onset for at, _ in result.weights] + [result.lasted - onset]
    shares = [_shares(weights) for _, weights in result.weights]
    names = list(shares[0])
    rows = [[*(share[name] for share in shares), shares[-1][name]] for name in names]
    axes.stackplot(times, rows, labels=names, colors=_SERVICE_COLOURS, step="post", linewidth=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylabel("traffic", color=_MUTED)
    axes.set_xlabel("seconds after the first request failed", color=_MUTED)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3, frameon=False, labelcolor=_INK
    )
    _plain(axes)


def _draw_marks(errors: Axes, weights: Axes, result: Result) -> None:
    """Mark the moments; labels that would touch go to the row above."""
    onset = _onset(result)
    moments = {"injected": -onset} | {
        name: at - onset for name in _MARKS if (at := getattr(result.moments, name)) is not None
    }
    span = result.lasted + _BEFORE_SECONDS
    taken = [-span, -span]
    for name, at in sorted(moments.items(), key=lambda item: item[1]):
        for axes in (errors, weights):
            axes.axvline(at, color=_INK, linewidth=0.9, linestyle=(0, (2, 2)))
        row = 0 if at - taken[0] > span * 0.1 else 1
        taken[row] = at
        errors.annotate(
            name if name == "injected" else f"{name} {at:.1f} s",
            xy=(at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4 + 13 * row),
            textcoords="offset points",
            fontsize=9,
            color=_INK,
            ha="left",
        )


def _onset(result: Result) -> float:
    """Return the time of the first failure after the injection; without one, 0."""
    return result.moments.began or 0.0


def _shares(weights: dict[str, int]) -> dict[str, float]:
    total = sum(weights.values()) or 1
    return {name: weight / total for name, weight in weights.items()}


def _plain(axes: Axes) -> None:
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
