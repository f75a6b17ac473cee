"""One round of questions to each metrics source, for all monitors that are due.

Equal questions are asked once. A source that is slow delays only the monitors that name it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backstop.core.samples import Reading
from backstop.ports import MetricsSource
from backstop.runtime.record import Record

TIDY_EVERY = 60.0
"""Seconds after which answers that are no longer good are dropped."""


def by_source(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return ``records`` grouped by the name of their metrics source."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.spec.source if record.spec else "", []).append(record)
    return groups


def questions(records: Iterable[Record]) -> dict[str, float]:
    """Return each distinct question of ``records`` once, and for how long its answer is good."""
    asked: dict[str, float] = {}
    for record in records:
        for inquiry in record.inquiries.values():
            for question in inquiry.questions.values():
                known = asked.get(question.promql, question.keep)
                asked[question.promql] = min(known, question.keep)
    return asked


@dataclass(slots=True)
class Kept:
    """Answers that may be used again: those about long windows change slowly.

    A failure is never kept, so a source that is back is noticed at once.
    """

    readings: dict[str, tuple[float, Reading]] = field(default_factory=dict)
    _tidied: float = 0.0

    def recall(self, asked: Iterable[str], now: float) -> dict[str, Reading]:
        """Return the answers to ``asked`` that are still good at ``now`` (Unix time).

        Rounds are many and may be small, so the others are looked through only now and then.
        """
        if not self._tidied <= now < self._tidied + TIDY_EVERY:
            self._tidied = now
            self.readings = {query: one for query, one in self.readings.items() if now < one[0]}
        known = ((query, self.readings.get(query)) for query in asked)
        return {query: one[1] for query, one in known if one is not None and now < one[0]}

    def learn(self, asked: Mapping[str, float], answers: Mapping[str, Reading], now: float) -> None:
        """Keep those of ``answers`` that are good for longer than this round."""
        for query, reading in answers.items():
            if asked[query] > 0.0 and not reading.failure:
                self.readings[query] = (now + asked[query], reading)


async def gather(
    source: MetricsSource | None, name: str, records: Sequence[Record], kept: Kept, now: float
) -> Mapping[str, Reading]:
    """Return an answer to each question of ``records``, asked of ``source`` called ``name``."""
    asked = questions(records)
    if source is None:
        said = f"the operator has no metrics source named {name}; its configuration lists them"
        return dict.fromkeys(asked, Reading(failure=said))
    known = kept.recall(asked, now)
    open_questions = [query for query in asked if query not in known]
    answers = await source.read(open_questions) if open_questions else {}
    kept.learn(asked, answers, now)
    return {**known, **answers}
