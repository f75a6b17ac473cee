"""The timeline in the terminal: a live panel for a person, plain lines for a log."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from backstop_lab.demo import narrate
from backstop_lab.demo.snapshot import Snapshot

_PLAIN_EVERY_SECONDS = 5.0
_NOTES_SHOWN = 14
_HISTORY = 60
_BAR = 40
_COLOURS = ("blue", "magenta", "yellow")
_SPARKS = " ▁▂▃▄▅▆▇█"
_FULL_SCALE = 0.5
_BAD_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class Moment:
    """What is shown at one time: the stage, what users see, and what stands in the cluster."""

    stage: str
    error_ratio: float
    snapshot: Snapshot


class Display(Protocol):
    """Shows the demo while it runs. Used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None:
        """Add a line to the timeline."""
        ...

    def show(self, moment: Moment) -> None:
        """Show the current state."""
        ...


def choose(console: Console) -> Display:
    """Return the live display for a terminal, and plain lines otherwise."""
    begin = time.monotonic()
    return LiveDisplay(console, begin) if console.is_terminal else PlainDisplay(console, begin)


class PlainDisplay:
    """One line per event, and one on the state every few seconds."""

    def __init__(self, console: Console, begin: float) -> None:
        self._console = console
        self._begin = begin
        self._shown = begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def note(self, text: str) -> None:
        """Print the line with the seconds since the start."""
        self._print(text)

    def show(self, moment: Moment) -> None:
        """Print the state, at most every five seconds."""
        if time.monotonic() - self._shown < _PLAIN_EVERY_SECONDS:
            return
        self._shown = time.monotonic()
        status = moment.snapshot.monitor
        self._print(
            f"  [{moment.stage}] users see {moment.error_ratio:.1%} errors, verdict"
            f" {status.verdict}, circuit {narrate.circuit(moment.snapshot)}, weights"
            f" {narrate.say_weights(moment.snapshot)}"
        )

    def _print(self, text: str) -> None:
        elapsed = time.monotonic() - self._begin
        line = f"{elapsed:7.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A panel with the state of the moment above the newest lines of the timeline."""

    def __init__(self, console: Console, begin: float) -> None:
        self._begin = begin
        self._notes: deque[tuple[float, str]] = deque(maxlen=_NOTES_SHOWN)
        self._ratios: deque[float] = deque(maxlen=_HISTORY)
        self._moment: Moment | None = None
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def note(self, text: str) -> None:
        """Add the line; the oldest one leaves the panel."""
        self._notes.append((time.monotonic() - self._begin, text))

    def show(self, moment: Moment) -> None:
        """Take over the state; it is drawn at the next refresh."""
        self._moment = moment
        self._ratios.append(moment.error_ratio)

    def _render(self) -> Group:
        parts = [Panel(self._state(self._moment), title="Backstop")] if self._moment else []
        timeline = Table.grid(padding=(0, 1))
        for at, text in self._notes:
            timeline.add_row(Text(f"{at:6.1f} s", style="dim"), escape(text))
        return Group(*parts, timeline)

    def _state(self, moment: Moment) -> Table:
        status = moment.snapshot.monitor
        rows = Table.grid(padding=(0, 2))
        rows.add_row("stage", Text(moment.stage, style="bold"))
        bad = moment.error_ratio > _BAD_RATIO
        ratio = Text(f"{moment.error_ratio:6.1%} ", style="bold red" if bad else "green")
        rows.add_row("errors users see", ratio.append(spark(self._ratios), style="red"))
        rows.add_row("weights", weight_bar(moment.snapshot))
        colour = {"Healthy": "green", "Breached": "red"}.get(status.verdict, "yellow")
        rows.add_row("verdict", Text(status.verdict, style=colour))
        rows.add_row("circuit", narrate.circuit(moment.snapshot))
        rows.add_row("last action", narrate.last_action(moment.snapshot))
        rows.add_row("why", Text(status.why, style="italic"))
        return rows


def spark(ratios: deque[float]) -> str:
    """Return the ratios as a row of bars; half of all requests or more is a full one."""
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[min(top, round(ratio / _FULL_SCALE * top))] for ratio in ratios)


def weight_bar(snapshot: Snapshot) -> Text:
    """Return the shares of the Services as a bar with a legend; any share at all is visible."""
    total = sum(snapshot.weights.values()) or 1
    bar, legend = Text(), Text("  ")
    for colour, (name, weight) in zip(_COLOURS, snapshot.weights.items(), strict=False):
        cells = max(round(weight / total * _BAR), 1) if weight else 0
        bar.append("█" * cells, style=colour)
        legend.append(f"{name} {weight}  ", style=colour)
    return bar.append_text(legend)
