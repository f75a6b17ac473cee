"""Passes over a monitor whose spec was edited while an opening of its circuit was begun."""

from typing import Any

import pytest
from tests.core.build import BASE, CANDIDATE, spec, view
from tests.fakeapi.server import FakeApi
from tests.runtime.test_passes import MONITORS, ROUTES, Operator, api, operator, server

from backstop.adapters.kube import KubernetesApi
from backstop.api.words import CircuitPhase, StepKind
from backstop.core import weights
from backstop.core.view import Step

__all__ = ["api", "operator", "server"]

BEFORE = {"fraud": 100, "fraud-next": 0, "simple": 0}
AFTER = {"fraud": 0, "fraud-next": 0, "simple": 100}
EDITS: list[tuple[list[str], dict[str, Any]]] = [
    (["fraud", "simple"], {"fallback": None}),
    (["fraud", "simple"], {"fallback": {"service": "other"}}),
    (["fraud", "simple"], {"candidate": CANDIDATE}),
    (["fraud", "fraud-next", "simple"], {}),
    (["fraud", "fraud-next", "simple"], {"fallback": None}),
]
"""The Services of the intent, and what the spec says since."""


def crashed(server: FakeApi, named: list[str], edit: dict[str, Any], live: dict[str, int]) -> None:
    """Let a process have ended in the middle of opening the circuit, and the spec be edited."""
    server.store.objects.clear()
    backends = [{"name": name, "weight": weight} for name, weight in live.items()]
    rules = [{"backendRefs": backends}]
    server.add(ROUTES, {"metadata": {"name": "fraud"}, "spec": {"rules": rules}})
    begun = {
        "id": "a",
        "step": "openCircuit",
        "state": "Planned",
        "subject": "HTTPRoute/fraud",
        "before": weights.to_text({0: {name: BEFORE[name] for name in named}}),
        "after": weights.to_text({0: {name: AFTER[name] for name in named}}),
        "plannedAt": "2026-01-01T00:00:00.000000Z",
    }
    trial = {"fingerprint": "c1", "service": "fraud-next"} if "fraud-next" in named else None
    told = {
        "name": "fraud-1",
        "cause": "infrastructure",
        "severity": "P1",
        "arm": "target",
        "onset": "2026-01-01T00:00:00.000000Z",
        "detected": "2026-01-01T00:00:00.000000Z",
        "why": "target fails",
    }
    known = {"action": begun, "incident": told, **({"candidate": trial} if trial else {})}
    wanted = {key: value for key, value in {**BASE, **edit}.items() if value is not None}
    server.add(MONITORS, {"metadata": {"name": "fraud"}, "spec": wanted, "status": known})


async def live_weights(api: KubernetesApi) -> dict[str, int]:
    """Return the weights in the route."""
    found = await api.get(f"{ROUTES}/fraud")
    return {one["name"]: one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]}


@pytest.mark.parametrize(("named", "edit"), EDITS)
async def test_an_opening_that_was_written_is_known_whatever_the_spec_says_since(
    server: FakeApi,
    operator: Operator,
    named: list[str],
    edit: dict[str, Any],
) -> None:
    """The fallback answers: the circuit is open, and what was before is kept to be put back."""
    crashed(server, named, edit, AFTER)
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    stored = (await operator.learns()).status
    assert stored.circuit.phase is CircuitPhase.OPEN
    assert [one["fraud"] for one in stored.circuit.restore] == [100]
    assert stored.incident is not None
    assert stored.incident.actions[0].state != "Failed"


@pytest.mark.parametrize(("named", "edit"), [one for one in EDITS if "fallback" in one[1]])
async def test_none_is_begun_to_a_fallback_that_the_spec_names_no_more(
    server: FakeApi,
    api: KubernetesApi,
    operator: Operator,
    named: list[str],
    edit: dict[str, Any],
) -> None:
    """It was not written yet, and it is refused; whoever took the fallback out had a reason."""
    crashed(server, named, edit, BEFORE)
    record = await operator.learns()
    await operator.reconciler.reconcile(record, {})
    stored = (await operator.learns()).status
    assert stored.circuit.phase is CircuitPhase.CLOSED
    assert await live_weights(api) == BEFORE
    assert stored.incident is not None
    assert stored.incident.actions[0].message == "simple is not the monitor's fallback any more"


async def test_nothing_is_taken_from_the_target_for_nobody(operator: Operator) -> None:
    """Whoever asks for an open circuit where there is no fallback, no weights are planned."""
    step = Step(StepKind.OPEN_CIRCUIT, "a", "the target fails")
    move = operator.outside.performers()[StepKind.OPEN_CIRCUIT]
    plan = await move.plan(view(spec=spec(fallback=None)), step)
    assert (plan.after, plan.refusal) == ("", "the monitor names no fallback")
