"""Which samples still count: never those that an earlier action has already answered.

For the target, samples count from the last action on. For the candidate they count from the end of
the rollout of the template under trial, if that was later, since before it other pods answered.
Only once every pod can have been counted anew is health taken as recovery.
"""

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core.view import Memory, View

SCRAPES_TO_COUNT: Final = 2.5
"""Scrape intervals in which every pod is scraped twice, as counting takes, and a bit more."""


def evidence_from(status: ModelMonitorStatus) -> dict[Arm, float]:
    """Return the Unix time from which samples count, by arm; infinite where none do yet."""
    acted = status.evidence_from.timestamp() if status.evidence_from else 0.0
    trial = status.candidate
    if trial is None or trial.since is None:
        return {Arm.TARGET: acted, Arm.CANDIDATE: math.inf}
    return {Arm.TARGET: acted, Arm.CANDIDATE: max(acted, trial.since.timestamp())}


def without_answered(memory: Memory, status: ModelMonitorStatus) -> Memory:
    """Return ``memory`` without what was seen of an arm before its evidence began."""
    begins = evidence_from(status)
    if begins == memory.evidence_from:
        return memory
    changed = {arm for arm, begin in begins.items() if memory.evidence_from.get(arm) != begin}
    kept = {key: seen for key, seen in memory.histories.items() if key[1] not in changed}
    return replace(
        memory,
        histories=MappingProxyType(kept),
        healthy_since=None if Arm.TARGET in changed else memory.healthy_since,
        evidence_from=MappingProxyType(begins),
    )


def is_complete(view: View) -> bool:
    """Return whether every pod was counted since the evidence began anew.

    Before that a verdict may rest on the few pods that were scraped first, and health of those is
    no recovery.
    """
    began = view.status.evidence_from
    waits = SCRAPES_TO_COUNT * (view.look.scrape_interval or 0.0)
    return began is None or view.now >= began.timestamp() + waits
