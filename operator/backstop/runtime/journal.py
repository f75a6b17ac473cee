"""Writing a monitor's status, which is the journal, under a precondition.

Every write carries the resourceVersion of the last one that we know. A conflict means that somebody
else wrote: the monitor is read again and decided anew, nothing is forced.
"""

import json
from collections.abc import Callable
from typing import Any

from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.status import Action, ModelMonitorStatus
from backstop.api.words import ActionState, Verdict
from backstop.core.reverts import REVERTED
from backstop.core.weights import TRAFFIC_STEPS
from backstop.ports import KubeApi
from backstop.runtime.record import FINALIZER, Record

MAX_BYTES = 8_000
"""A status is kept below this size; the reasons of signals go first, sequential tests last."""


class Journal:
    """Reads and writes ModelMonitors."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def _path(self, record: Record, subresource: str = "") -> str:
        return namespaced(API_VERSION, record.namespace, "modelmonitors", record.name, subresource)

    async def write(self, record: Record, status: ModelMonitorStatus) -> None:
        """Write ``status``; afterwards the record holds it.

        Raises:
            ConflictError: somebody else changed the monitor; nothing was written.
            OutsideError: see :mod:`backstop.ports`.
        """
        status = fit(status)
        patch: list[dict[str, Any]] = [
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": record.resource_version,
            },
            {"op": "add", "path": "/status", "value": status.to_json()},
        ]
        body = await self._api.json_patch(self._path(record, "status"), patch)
        record.resource_version = body["metadata"]["resourceVersion"]
        record.status = record.written = status

    async def refresh(self, record: Record) -> None:
        """Read the monitor again, with its status.

        Raises:
            NotFoundError: it is gone.
        """
        record.absorb(await self._api.get(self._path(record)), with_status=True)

    async def hold(self, record: Record) -> None:
        """Add the finalizer, so that moved traffic is put back before the monitor goes."""
        await self._set_finalizers(record, (*record.finalizers, FINALIZER))

    async def release(self, record: Record) -> None:
        """Remove the finalizer."""
        kept = tuple(name for name in record.finalizers if name != FINALIZER)
        await self._set_finalizers(record, kept)

    async def _set_finalizers(self, record: Record, finalizers: tuple[str, ...]) -> None:
        body = await self._api.merge_patch(
            self._path(record),
            {
                "metadata": {
                    "resourceVersion": record.resource_version,
                    "finalizers": list(finalizers),
                }
            },
        )
        record.resource_version = body["metadata"]["resourceVersion"]
        record.finalizers = tuple(body["metadata"].get("finalizers", ()))


def fit(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Return ``status`` small enough to be stored, with the least important words left out.

    The states of sequential tests go last, one by one: without them evidence would be lost in a
    restart.
    """
    for shorten in (
        _without_numbers,
        _with_brief_actions,
        _without_done_changes,
        _only_breached,
        _with_brief_why,
        _with_brief_progress,
        _with_brief_history,
    ):
        if _fits(status):
            return status
        status = shorten(status)
    for place in reversed(range(len(status.tests))):
        if _fits(status):
            break
        status = _without_state(status, place)
    for shorten in (_with_brief_conditions, _bare):
        status = status if _fits(status) else shorten(status)
    return status


def _fits(status: ModelMonitorStatus) -> bool:
    return len(json.dumps(status.to_json())) <= MAX_BYTES


def _without_state(status: ModelMonitorStatus, place: int) -> ModelMonitorStatus:
    tests = list(status.tests)
    tests[place] = tests[place].model_copy(update={"state": ""})
    return status.model_copy(update={"tests": tests})


def _without_numbers(status: ModelMonitorStatus) -> ModelMonitorStatus:
    terse = [signal.model_copy(update={"why": ""}) for signal in status.signals]
    return status.model_copy(update={"signals": terse})


def _actions(status: ModelMonitorStatus) -> list[Action]:
    return status.incident.actions if status.incident else []


def _each_action(
    status: ModelMonitorStatus, shorten: Callable[[Action], Action]
) -> ModelMonitorStatus:
    episode = status.incident
    if episode is None:
        return status
    actions = [shorten(action) for action in _actions(status)]
    return status.model_copy(update={"incident": episode.model_copy(update={"actions": actions})})


def _with_brief_actions(status: ModelMonitorStatus) -> ModelMonitorStatus:
    def brief(action: Action) -> Action:
        return action.model_copy(update={"why": action.why[:80], "message": action.message[:120]})

    return _each_action(status, brief)


def _without_done_changes(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Shorten the values of actions that are over, and so need them no more.

    Weights are kept whole or not at all, and those of the last move are kept: they tell whether
    somebody has undone it.
    """
    moved = [one for one in _actions(status) if one.step in TRAFFIC_STEPS and one.applied_at]

    def done(action: Action) -> Action:
        if action.state in {ActionState.PLANNED, ActionState.APPLIED} or action in moved[-1:]:
            return action
        most = 0 if action.step in TRAFFIC_STEPS else 64
        return action.model_copy(
            update={"before": action.before[:most], "after": action.after[:most]}
        )

    return _each_action(status, done)


def _only_breached(status: ModelMonitorStatus) -> ModelMonitorStatus:
    breached = [one for one in status.signals if one.verdict is Verdict.BREACHED]
    return status.model_copy(update={"signals": breached[:16]})


def _with_brief_why(status: ModelMonitorStatus) -> ModelMonitorStatus:
    return status.model_copy(update={"why": status.why[:300]})


def _with_brief_progress(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Shorten the evidence, whose signals are asked for, and what is said about each step."""
    episode = status.incident
    if episode is None:
        return status
    steps = [one.model_copy(update={"why": one.why[:60]}) for one in episode.steps]
    evidence = [line[:80] for line in episode.evidence]
    brief = {"steps": steps, "evidence": evidence, "why": episode.why[:300]}
    return status.model_copy(update={"incident": episode.model_copy(update=brief)})


def _with_brief_history(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Leave out what is said about each action, and about what each signal measures."""

    def silent(action: Action) -> Action:
        brief = {"why": "", "message": action.message[:40]}
        if action.verified_at is not None and action.step not in REVERTED:
            brief |= {"before": "", "after": ""}
        return action.model_copy(update=brief)

    terse = status.model_copy(update={"signals": status.signals[:8]})
    return _each_action(terse, silent)


def _with_brief_conditions(status: ModelMonitorStatus) -> ModelMonitorStatus:
    brief = [one.model_copy(update={"message": one.message[:120]}) for one in status.conditions]
    return status.model_copy(update={"conditions": brief})


def _bare(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Leave all words to the Incident and the log, but for one sentence."""
    status = status.model_copy(update={"signals": [], "why": status.why[:200]})
    episode = status.incident
    if episode is None:
        return status
    steps = [one.model_copy(update={"why": ""}) for one in episode.steps]
    evidence = [line.split(":", 1)[0] for line in episode.evidence]
    brief = {"steps": steps, "evidence": evidence, "why": episode.why[:200]}
    return status.model_copy(update={"incident": episode.model_copy(update=brief)})
