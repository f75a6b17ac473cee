"""A monitor that is deleted while a pass over it is under way leaves nothing behind."""

from typing import Any

import pytest
from tests.runtime.test_passes import BREACHED, MONITORS, Operator, api, operator, server

from backstop.adapters.kube import KubernetesApi
from backstop.ports import ConflictError
from backstop.runtime.reconcile import Gone, Reconciler
from backstop.runtime.record import Record

__all__ = ["api", "operator", "server"]


def counted(operator: Operator) -> tuple[int, int, Any]:
    """Return how many monitors the fleet counts, how many act, and how many may act at once."""
    fleet = operator.reconciler.fleet
    return len(fleet._watched), fleet.acting, fleet._uids


async def in_an_incident(operator: Operator) -> Record:
    """Return a monitor that acts."""
    record = await operator.learns()
    operator.look = BREACHED
    await operator.reconciler.reconcile(record, {})
    assert counted(operator)[:2] == (1, 1)
    return record


async def test_a_monitor_that_is_gone_counts_no_more(api: KubernetesApi, operator: Operator):
    """Else it would be one of those that act at once for ever, and hold the actions of others."""
    record = await in_an_incident(operator)
    await api.merge_patch(f"{MONITORS}/fraud", {"metadata": {"finalizers": []}})
    await api.delete(f"{MONITORS}/fraud")
    record.finalizers = ()
    with pytest.raises(Gone):
        await operator.reconciler.reconcile(record, {})
    assert counted(operator) == (0, 0, {})


async def test_a_pass_that_ends_after_the_deletion_was_told_counts_nothing(operator: Operator):
    """It may have had nothing to write, and so not have noticed."""
    record = await in_an_incident(operator)
    operator.reconciler.fleet.forget(record.key)
    record.gone = True  # as the watch does
    await operator.reconciler.reconcile(record, {})
    assert counted(operator) == (0, 0, {})


async def test_a_conflict_with_a_deletion_counts_nothing(
    api: KubernetesApi, operator: Operator, monkeypatch: pytest.MonkeyPatch
):
    """The monitor is read again after a conflict, and may not be there by then."""
    record = await in_an_incident(operator)
    await api.merge_patch(f"{MONITORS}/fraud", {"metadata": {"finalizers": []}})
    await api.delete(f"{MONITORS}/fraud")

    async def conflict(*_: Any) -> float:
        raise ConflictError("changed")

    monkeypatch.setattr(Reconciler, "_pass", conflict)
    with pytest.raises(Gone):
        await operator.reconciler.reconcile(record, {})
    assert counted(operator) == (0, 0, {})
