"""One signal, looked at again and again, as the loop does."""

from tests.core.build import T0, readings, series

from backstop.api.modelmonitor import Signal
from backstop.api.status import Arm
from backstop.core.samples import Reading
from backstop.core.verdicts import History, SignalVerdict, judge


def gauge(**changes) -> Signal:
    """Return a free expression that may be at most 10, broken in 2 of 3 looks."""
    return Signal.model_validate(
        {
            "name": "drift",
            "pillar": "data",
            "window": "10s",
            "promql": {"expr": "drift", "max": "10"},
            **changes,
        }
    )


class Watcher:
    """Looks at one gauge again and again, as the loop does."""

    def __init__(self, one: Signal, *, evidence_from: float = 0.0) -> None:
        self.signal, self.evidence_from = one, evidence_from
        self.history, self.now = History(), T0

    def sees(self, *values: float, at: float | None = None) -> SignalVerdict:
        """Look at samples of these values, the last one of which is scraped now."""
        self.now = self.now + 1 if at is None else at
        start = self.now - len(values) + 1
        answer = readings(value=[series(values, start=start)] if values else [])
        return self.judges(answer)

    def judges(self, answer: dict[str, Reading]) -> SignalVerdict:
        """Look at these readings."""
        found, self.history = judge(
            self.signal,
            Arm.TARGET,
            answer,
            self.history,
            evidence_from=self.evidence_from,
            now=self.now,
        )
        return found
