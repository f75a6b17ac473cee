"""One chart per scenario: what users saw with and without Backstop, and what Backstop did about it.

Time counts from the first failed request, so the two runs lie on top of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from backstop_lab.demo.report import Pair, pairs
from backstop_lab.demo.results import BEFORE_SECONDS, Result

_INK, _MUTED, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_WITH, _WITHOUT = "#0b6e99", "#d1495b"
_SERVICE_COLOURS = ("#4c9bc1", "#a98bd0", "#edae49")
_VERDICT_COLOURS = {"Healthy": "#8cc79b", "Breached": "#e08a94", "Unknown": "#cbd2d9"}
_SIZE = (10.0, 5.6)
_DPI = 130
_MARKS = ("detected", "mitigated", "repaired", "resolved")
_MARK_ROWS = 4
_POINTS_PER_ROW = 13
_CHARACTER = 0.0088
"""Width of a character of a mark, as a share of the width of the axes."""


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
    grid = figure.add_gridspec(3, 1, height_ratios=(10, 6, 1), hspace=0.14)
    errors = figure.add_subplot(grid[0])
    weights = figure.add_subplot(grid[1], sharex=errors)
    verdicts = figure.add_subplot(grid[2], sharex=errors)
    onset = _onset(pair.acted)
    errors.set_xlim(-onset - BEFORE_SECONDS, pair.acted.lasted - onset)
    _draw_errors(errors, pair)
    _draw_weights(weights, pair.acted)
    _draw_verdicts(verdicts, pair.acted)
    rows = _draw_marks((errors, weights, verdicts), pair.acted)
    pad = 12 + _POINTS_PER_ROW * rows
    errors.set_title(_headline(pair), loc="left", fontsize=12, color=_INK, pad=pad, weight="bold")
    handles = [
        handle for axes in (errors, weights) for handle in axes.get_legend_handles_labels()[0]
    ]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.51, 0.04),
        ncols=len(handles),
        frameon=False,
        labelcolor=_INK,
        columnspacing=1.4,
    )
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
    axes.set_ylim(0, min(1.02, highest * 1.1))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylabel("requests failing", color=_MUTED)
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
    _plain(axes)


def _draw_verdicts(axes: Axes, result: Result) -> None:
    onset = _onset(result)
    ends = [at for at, _ in result.verdicts[1:]] + [result.lasted]
    whole = result.lasted + BEFORE_SECONDS
    for (begin, verdict), end in zip(result.verdicts, ends, strict=True):
        axes.axvspan(begin - onset, end - onset, color=_VERDICT_COLOURS[verdict], linewidth=0)
        if (end - begin) / whole > (len(verdict) + 2) * _CHARACTER:
            middle = (begin + end) / 2 - onset
            axes.text(middle, 0.5, verdict, ha="center", va="center", fontsize=8, color=_INK)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("verdict", color=_MUTED, rotation=0, ha="right", va="center")
    axes.set_xlabel(_clock(result), color=_MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _plain(axes, labelled=True)


def _draw_marks(all_axes: Sequence[Axes], result: Result) -> int:
    """Mark the moments above the chart, in as many rows as they need, and return that number."""
    onset = _onset(result)
    moments = {"injected": -onset} | {
        name: at - onset for name in _MARKS if (at := getattr(result.moments, name)) is not None
    }
    width = result.lasted + BEFORE_SECONDS
    free_from = [-width] * _MARK_ROWS
    used = 0
    for name, at in sorted(moments.items(), key=lambda item: item[1]):
        text = name if name == "injected" else f"{name} {at:.1f} s"
        row = next((row for row in range(_MARK_ROWS) if free_from[row] <= at), _MARK_ROWS - 1)
        free_from[row] = at + (len(text) + 1) * _CHARACTER * width
        used = max(used, row + 1)
        for axes in all_axes:
            axes.axvline(at, color=_INK, linewidth=0.9, linestyle=(0, (2, 2)))
        all_axes[0].annotate(
            text,
            xy=(at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-2, 4 + _POINTS_PER_ROW * row),
            textcoords="offset points",
            fontsize=9,
            color=_INK,
        )
    return used


def _clock(result: Result) -> str:
    since = "the injection" if result.moments.began is None else "the first failed request"
    return f"seconds after {since}"


def _onset(result: Result) -> float:
    """Return the time of the first failure after the injection; without one, 0."""
    return result.moments.began or 0.0


def _shares(weights: dict[str, int]) -> dict[str, float]:
    total = sum(weights.values()) or 1
    return {name: weight / total for name, weight in weights.items()}


def _plain(axes: Axes, *, labelled: bool = False) -> None:
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, length=0, labelbottom=labelled)
    for side in axes.spines.values():
        side.set_visible(False)
