"""Revisions as the history of a workload keeps them: numbered templates, some of them equal.

A restart makes a new entry with a template that differs by nothing else, so entries with equal
fingerprints are one revision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backstop.adapters.workloads.template import template_fingerprint
from backstop.core.facts import ObjectRef, RevisionFacts
from backstop.ports import NotFoundError


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a history: the ``name`` of its object, its number, template and first time."""

    name: str
    number: int
    template: Mapping[str, Any]
    created: datetime


def revision_facts(entries: Iterable[Entry]) -> tuple[RevisionFacts, ...]:
    """Return the revisions of a history, newest first, each fingerprint once."""
    found: dict[str, RevisionFacts] = {}
    for entry in sorted(entries, key=lambda one: one.number, reverse=True):
        fingerprint = template_fingerprint(entry.template)
        number = found[fingerprint].number if fingerprint in found else entry.number
        first = found[fingerprint].created if fingerprint in found else entry.created
        found[fingerprint] = RevisionFacts(fingerprint, number, min(first, entry.created))
    return tuple(found.values())


def newest(entries: Iterable[Entry], ref: ObjectRef, fingerprint: str) -> Entry:
    """Return the newest entry with ``fingerprint``: its pods, if any are left, need no restart.

    Raises:
        NotFoundError: the history of ``ref`` no longer has it.
    """
    matching = [one for one in entries if template_fingerprint(one.template) == fingerprint]
    if not matching:
        raise NotFoundError(
            f"revision {fingerprint} of {ref} is gone from its history; perhaps"
            " revisionHistoryLimit is too small"
        )
    return max(matching, key=lambda one: one.number)
