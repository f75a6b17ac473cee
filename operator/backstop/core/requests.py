"""What people ask of a monitor, by annotations on it.

``backstop.dev/approve`` and ``backstop.dev/deny`` hold ids of actions, separated by commas;
``backstop.dev/candidate`` holds what is to become of the candidate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

APPROVE: Final = "backstop.dev/approve"
DENY: Final = "backstop.dev/deny"
CANDIDATE: Final = "backstop.dev/candidate"


class CandidateRequest(StrEnum):
    """What a person wants of the candidate; ``pause`` holds for as long as it stands."""

    PAUSE = "pause"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Requests:
    """What people have asked. ``unknown`` is a candidate request that nobody understands."""

    approved: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    candidate: CandidateRequest | None = None
    unknown: str = ""


def requests(annotations: Mapping[str, str]) -> Requests:
    """Return what the annotations of a monitor ask."""
    wish = annotations.get(CANDIDATE, "").strip()
    known = wish in set(CandidateRequest)
    return Requests(
        approved=_ids(annotations.get(APPROVE, "")),
        denied=_ids(annotations.get(DENY, "")),
        candidate=CandidateRequest(wish) if known else None,
        unknown="" if known else wish[:64],
    )


def _ids(text: str) -> frozenset[str]:
    return frozenset(filter(None, (one.strip() for one in text.split(","))))
