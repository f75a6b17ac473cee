"""One signal, looked at again and again, as the loop does."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.core.build import T0, asked, series

from backstop.api.modelmonitor import Signal
from backstop.api.words import Arm
from backstop.core.judging import look
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import History, SignalVerdict


def gauge(
    *, expr: str = "drift", limits: Mapping[str, str] | None = None, **changes: Any
) -> Signal:
    """Return a free expression that may be at most 10, broken in 2 of 3 looks."""
    return Signal.model_validate(
        {
            "name": "drift",
            "pillar": "data",
            "window": "10s",
            "threshold": {"promql": {"expr": expr}, **(limits or {"max": "10"})},
            **changes,
        }
    )


class Watcher:
    """Looks at one signal again and again, as the loop does."""

    def __init__(self, one: Signal, *, evidence_from: float = 0.0) -> None:
        self.inquiry, self.evidence_from = asked(one), evidence_from
        self.key = (one.name, Arm.TARGET)
        self.history, self.now = History(), T0

    def sees(self, *values: float, at: float | None = None) -> SignalVerdict:
        """Look at samples of these values, the last one of which is scraped now."""
        self.now = self.now + 1 if at is None else at
        start = self.now - len(values) + 1
        return self.counts(value=[series(values, start=start)] if values else [])

    def counts(self, **answers: Sequence[Series]) -> SignalVerdict:
        """Look at these series by role."""
        return self.judges({role: Reading(tuple(found)) for role, found in answers.items()})

    def judges(self, answers: Mapping[str, Reading]) -> SignalVerdict:
        """Look at these readings by role."""
        readings = {one.promql: answers[role] for role, one in self.inquiry.questions.items()}
        seen = look(
            {self.key: self.inquiry},
            readings,
            {self.key: self.history},
            evidence_from={Arm.TARGET: self.evidence_from},
            now=self.now,
        )
        self.history = seen.histories[self.key]
        (found,) = seen.verdicts
        return found
