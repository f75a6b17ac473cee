"""A backtest as a picture: each signal over time, with limits, incidents and known faults."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from backstop.api.words import Arm
from backstop.core.backtest_report import Assessment, ReplayedIncident, Report, SignalTrack
from backstop.core.units import Unit, say_seconds

_INK, _MUTED, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_LINE, _LIMIT, _ACTS, _NOTICES, _FAULT = "#0b6e99", "#d1495b", "#d1495b", "#edae49", "#3a3a3a"
_WIDTH, _HEIGHT_OF_A_SIGNAL, _HEIGHT_AROUND = 11.0, 1.45, 1.6
_DPI: Final = 110
_DAY, _MINUTES = 86_400.0, 600.0
_WRONG: Final = {Assessment.WRONG: " wrong", Assessment.DOUBTFUL: " doubtful"}


def draw(report: Report, file: Path) -> None:
    """Draw ``report`` as PNG into ``file``."""
    shown = [one for one in report.tracks if one.arm is Arm.TARGET or any(one.healthy)]
    size = (_WIDTH, _HEIGHT_AROUND + _HEIGHT_OF_A_SIGNAL * len(shown))
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    heights = [0.35, *(1.0 for _ in shown)]
    grid = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    head, *panels = (row[0] for row in grid)
    _events(head, report)
    for axes, track in zip(panels, shown, strict=True):
        _signal(axes, track, report)
    lasts = report.span.end - report.span.begin
    form = "%H:%M:%S" if lasts <= _MINUTES else "%H:%M" if lasts <= _DAY else "%m-%d %H:%M"
    panels[-1].xaxis_date(tz=UTC)
    panels[-1].xaxis.set_major_formatter(
        FuncFormatter(lambda days, _: datetime.fromtimestamp(days * _DAY, tz=UTC).strftime(form))
    )
    panels[-1].tick_params(labelbottom=True)
    panels[-1].set_xlabel("UTC", color=_MUTED, fontsize=8)
    head.set_xlim(_date(report.span.begin), _date(_end(report)))
    figure.suptitle(_title(report), x=0.01, ha="left", fontsize=12, color=_INK, weight="bold")
    figure.savefig(file, format="png")


def _title(report: Report) -> str:
    number = len(report.incidents)
    return (
        f"{report.namespace}/{report.monitor}: {number} incident{'s' * (number != 1)},"
        f" {len(report.acting)} with an action"
    )


def _end(report: Report) -> float:
    return max(report.span.end, report.span.begin + report.span.step)


def _events(axes: Axes, report: Report) -> None:
    """Draw the incidents above the known faults, one bar each."""
    for number, one in enumerate(report.incidents, start=1):
        begin, end = one.detected, report.span.end if one.ended is None else one.ended
        width = _date(end) - _date(begin)
        axes.barh(1, width, left=_date(begin), height=0.7, color=_colour(one), linewidth=0)
        axes.vlines(_date(begin), 0.65, 1.35, color=_colour(one), linewidth=1.2)
        axes.annotate(
            f"{number}{_WRONG.get(one.assessment, '')}",
            xy=(_date(begin), 1),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_INK,
        )
    for outcome in report.outcomes or ():
        begin, end = outcome.fault.begin, outcome.fault.end
        axes.barh(0, _date(end) - _date(begin), left=_date(begin), height=0.7, color=_FAULT)
        axes.annotate(
            outcome.fault.name,
            xy=(_date(end), 0),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_INK,
        )
    known = report.outcomes is not None
    axes.set_yticks(
        [1, 0] if known else [1], ["incidents", "known faults"] if known else ["incidents"]
    )
    axes.set_ylim(-0.6 if known else 0.4, 1.6)
    _plain(axes, grid=False)


def _signal(axes: Axes, track: SignalTrack, report: Report) -> None:
    bins = len(track.low)
    width = report.span.looks * report.span.step / bins
    times = [_date(report.span.begin + (number + 0.5) * width) for number in range(bins)]
    low, high = (
        [math.nan if value is None else value for value in side] for side in (track.low, track.high)
    )
    axes.fill_between(times, low, high, color=_LINE, alpha=0.35, linewidth=0)
    axes.plot(times, high, color=_LINE, linewidth=1.1)
    if low != high:
        axes.plot(times, low, color=_LINE, linewidth=0.6)
    for limit in track.allowed or ():
        if math.isfinite(limit):
            axes.axhline(limit, color=_LIMIT, linewidth=1.0, linestyle=(0, (4, 3)))
    for one in report.incidents:
        if track.name in one.signals and track.arm is one.arm:
            end = report.span.end if one.ended is None else one.ended
            axes.axvline(_date(one.detected), color=_colour(one), linewidth=0.8)
            axes.axvspan(
                _date(one.detected), _date(end), color=_colour(one), alpha=0.2, linewidth=0
            )
    name = track.name if track.arm is Arm.TARGET else f"{track.name}, candidate"
    axes.set_title(name, loc="left", fontsize=9, color=_INK, pad=3)
    if track.unit is not Unit.PLAIN:
        axes.yaxis.set_major_formatter(FuncFormatter(_SAY[track.unit]))
    if track.unit is Unit.SHARE or all(math.isnan(one) or one >= 0.0 for one in low):
        axes.set_ylim(bottom=0)
    _plain(axes)


def _share(value: float, _place: int) -> str:
    return f"{value * 100:.3g}%"


def _time(value: float, _place: int) -> str:
    return "0" if value == 0.0 else say_seconds(value)


_SAY: Final = {Unit.SHARE: _share, Unit.SECONDS: _time}


def _colour(one: ReplayedIncident) -> str:
    return _ACTS if one.acts else _NOTICES


def _date(at: float) -> float:
    """Return a Unix time as days since the Unix epoch, which is what axes of dates count in."""
    return at / _DAY


def _plain(axes: Axes, *, grid: bool = True) -> None:
    if grid:
        axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
