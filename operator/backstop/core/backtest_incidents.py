"""The incidents of a backtest, followed from look to look."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backstop.api.runbook import MESSAGES
from backstop.api.status import Episode
from backstop.api.words import Verdict
from backstop.core.backtest_report import ReplayedIncident
from backstop.core.backtest_saved import BadEvents, Countable
from backstop.core.inquiry import SignalKey
from backstop.core.samples import Reading
from backstop.core.verdicts import Look
from backstop.core.view import Step


@dataclass(slots=True)
class _Open:
    """An incident under way: its episode, the step, and what is counted since."""

    episode: Episode
    step: Step | None = None
    decided: float | None = None
    signals: dict[str, None] = field(default_factory=dict)
    counts: dict[SignalKey, BadEvents] = field(default_factory=dict)

    def closed(self, ended: float | None) -> ReplayedIncident:
        episode = self.episode
        counted = [
            bad.total
            for (name, _), bad in self.counts.items()
            if name in self.signals and bad.total is not None
        ]
        return ReplayedIncident(
            cause=episode.cause,
            severity=episode.severity,
            arm=episode.arm,
            onset=episode.onset.timestamp(),
            detected=episode.detected.timestamp(),
            ended=ended,
            why=episode.why,
            evidence=tuple(episode.evidence),
            signals=tuple(self.signals),
            step=self.step.kind if self.step else None,
            decided=self.decided,
            # Signals may count the same requests: the largest count holds none twice.
            saved=max(counted, default=None),
        )


class Incidents:
    """All incidents of one monitor, of which at most one is under way."""

    def __init__(self, counters: Mapping[SignalKey, Countable], reaction: float) -> None:
        """Prepare to count with ``counters``, from ``reaction`` seconds after a decision."""
        self._counters = counters
        self._reaction = reaction
        self._open: _Open | None = None
        self._done: list[ReplayedIncident] = []
        self._now = 0.0
        self._readings: Mapping[str, Reading] = {}

    def add(
        self,
        now: float,
        episode: Episode | None,
        seen: Look,
        step: Step | None,
        readings: Mapping[str, Reading],
    ) -> None:
        """Take note of the look at ``now``, after which the status holds ``episode``."""
        self._now, self._readings = now, readings
        if self._open is not None and (
            episode is None or not _is_same(self._open.episode, episode)
        ):
            self._close(now)
        if episode is not None and episode.resolved is None and self._open is None:
            self._open = _Open(episode)
        if self._open is not None and episode is not None:
            self._follow(self._open, now, seen, step, readings)
            if episode.resolved is not None:
                self._close(episode.resolved.timestamp())

    def _follow(
        self,
        one: _Open,
        now: float,
        seen: Look,
        step: Step | None,
        readings: Mapping[str, Reading],
    ) -> None:
        for verdict in seen.verdicts:
            if verdict.arm is one.episode.arm and verdict.verdict is Verdict.BREACHED:
                one.signals[verdict.name] = None
        for count in one.counts.values():
            if count.is_due(now):
                count.add(readings, now)
        if step is not None and step.kind not in MESSAGES and one.step is None:
            one.step, one.decided = step, now
            one.counts = {
                key: BadEvents(countable, now + self._reaction)
                for key, countable in self._counters.items()
                if key[1] is one.episode.arm
            }

    def _close(self, ended: float | None) -> None:
        if self._open is not None:
            for count in self._open.counts.values():
                count.add(self._readings, self._now)
            self._done.append(self._open.closed(ended))
        self._open = None

    def finish(self) -> list[ReplayedIncident]:
        """Return all incidents, the last one perhaps without an end."""
        self._close(None)
        return self._done


def _is_same(one: Episode, other: Episode) -> bool:
    return (one.detected, one.severity, one.arm) == (other.detected, other.severity, other.arm)
