"""One round of questions to each metrics source, for all monitors that are due.

Equal questions are asked once. A source that is slow delays only the monitors that name it.
"""

from collections.abc import Iterable, Mapping, Sequence

from backstop.core.samples import Reading
from backstop.ports import MetricsSource
from backstop.runtime.record import Record


def by_source(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return ``records`` grouped by the name of their metrics source."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.spec.source if record.spec else "", []).append(record)
    return groups


def questions(records: Iterable[Record]) -> list[str]:
    """Return each distinct question of ``records`` once."""
    return list(
        dict.fromkeys(
            query
            for record in records
            for _, asked in record.questions.values()
            for query in asked.values()
        )
    )


async def gather(
    source: MetricsSource | None, name: str, records: Sequence[Record]
) -> Mapping[str, Reading]:
    """Return an answer to each question of ``records``, asked of ``source`` called ``name``."""
    asked = questions(records)
    if source is None:
        said = f"the operator has no metrics source named {name}; its configuration lists them"
        return dict.fromkeys(asked, Reading(failure=said))
    return await source.read(asked) if asked else {}
