"""A real API server takes the CRDs, and refuses bad objects before they are stored."""

import json
import os
from typing import Any

import pytest
from tests.api.mistakes import BAD, Bad
from tests.api.specs import FULL, GOOD, GOOD_RUNBOOKS, MINIMAL, RUNBOOK, monitor, runbook
from tests.api.values import EPISODE, STATUS
from tests.lab.cluster import kubectl

from backstop.api import API_VERSION
from backstop.api.conditions import ConditionType
from backstop.api.incident import IncidentSpec, incident_status
from backstop.api.runbook import RunbookSpec
from backstop.api.status import Episode, ModelMonitorStatus

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="needs an API server: KUBECONFIG"),
]


def try_to_create(namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
    arguments = ["create", "-n", namespace, "--dry-run=server", "--validate=strict"]
    created = kubectl(*arguments, "-o", "json", "-f", "-", stdin=json.dumps(manifest))
    result: dict[str, Any] = json.loads(created)
    return result


def create(namespace: str, manifest: dict[str, Any]) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))


def get(namespace: str, *arguments: str) -> str:
    return kubectl("get", "-n", namespace, *arguments)


def set_status(namespace: str, reference: str, status: dict[str, Any]) -> None:
    """Write the status through its subresource, strictly."""
    patch = json.dumps({"status": status})
    arguments = ["patch", reference, "-n", namespace, "--subresource=status", "--type=merge"]
    kubectl(*arguments, "-p", patch)


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_good_spec_is_accepted(namespace, spec):
    """What `backstop check` lets pass, the API server takes."""
    try_to_create(namespace, monitor(spec))


@pytest.mark.parametrize("spec", GOOD_RUNBOOKS.values(), ids=GOOD_RUNBOOKS)
def test_good_runbook_is_accepted(namespace, spec):
    """Runbooks are objects of their own."""
    try_to_create(namespace, runbook(spec))


def test_defaults_of_steps_are_those_of_the_model(namespace):
    """A step that is written briefly is stored as it will be carried out."""
    brief = {"data": [{"name": "restart", "restart": {}}]}
    (stored,) = try_to_create(namespace, runbook(brief))["spec"]["data"]
    (step,) = RunbookSpec.model_validate(brief).data or []
    assert stored == step.to_json() | {"when": stored["when"]}
    assert stored["restart"] == {"pods": "All"}
    full = try_to_create(namespace, runbook(RUNBOOK))["spec"]
    assert RunbookSpec.model_validate(full) == RunbookSpec.model_validate(RUNBOOK)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.mistake)
def test_bad_spec_is_refused(namespace, bad: Bad):
    """A bad spec is never stored, and the refusal says what is wrong."""
    with pytest.raises(RuntimeError) as refusal:
        try_to_create(namespace, bad.manifest)
    assert bad.server in str(refusal.value)


def test_defaults_are_those_of_the_model(namespace):
    """What the server fills in is what the documentation and the model say."""
    stored = try_to_create(namespace, monitor(MINIMAL))["spec"]
    assert stored["mode"] == "Observe"
    assert stored["circuit"] == FULL["circuit"]
    assert stored["rollback"] == FULL["rollback"]
    assert stored["signals"] == MINIMAL["signals"]


def test_columns_tell_what_matters(namespace):
    """`kubectl get mm -o wide` shows the state, what is held, and the reason."""
    create(namespace, monitor(FULL, name="columns"))
    set_status(namespace, "modelmonitor/columns", STATUS.to_json())
    titles, row = get(namespace, "mm", "columns", "-o", "wide").splitlines()
    assert titles.split() == [
        *("NAME", "MODE", "TARGET", "VERDICT", "CIRCUIT", "READY", "AGE"),
        *("INCIDENT", "CANDIDATE", "HELD", "WHY"),
    ]
    assert row.split()[:6] == ["columns", "Act", "fraud", "Breached", "Open", "True"]
    assert row.split()[7:10] == [EPISODE.name, "Aborted", "ApprovalNeeded"]
    assert row.endswith(STATUS.why)
    assert "INCIDENT" not in get(namespace, "modelmonitors", "columns")
    assert "modelmonitor.backstop.dev/columns" in get(namespace, "ml", "-o", "name")


def test_monitors_can_be_selected_by_target(namespace):
    """A field selector finds the monitor of a workload without reading all."""
    create(namespace, monitor(FULL, name="selected"))
    by_name = "metadata.name=selected,spec.target.name="
    assert "selected" in get(namespace, "mm", f"--field-selector={by_name}fraud", "-o", "name")
    assert get(namespace, "mm", f"--field-selector={by_name}other", "-o", "name") == ""


def test_status_of_a_monitor_comes_back_unchanged(namespace):
    """Nothing of the journal is pruned, and times keep their microseconds."""
    create(namespace, monitor(FULL, name="journal"))
    set_status(namespace, "modelmonitor/journal", STATUS.to_json())
    stored = json.loads(get(namespace, "mm", "journal", "-o", "json"))["status"]
    assert stored == STATUS.to_json()
    assert ModelMonitorStatus.model_validate(stored) == STATUS


def test_fresh_status_is_accepted(namespace):
    """The status that a model starts with is valid as it is."""
    create(namespace, monitor(MINIMAL, name="fresh"))
    set_status(namespace, "modelmonitor/fresh", ModelMonitorStatus().to_json())


def test_status_refuses_two_conditions_of_a_type(namespace):
    """Conditions are a map by type, so other tools can merge theirs."""
    create(namespace, monitor(MINIMAL, name="twice"))
    status = STATUS.to_json()
    status["conditions"].append(status["conditions"][0])
    with pytest.raises(RuntimeError, match="Duplicate value"):
        set_status(namespace, "modelmonitor/twice", status)


def test_readiness_can_be_waited_for(namespace):
    """`kubectl wait --for=condition=Ready` works, so pipelines can."""
    create(namespace, monitor(MINIMAL, name="waited"))
    set_status(namespace, "modelmonitor/waited", STATUS.to_json())
    kubectl(
        *("wait", f"--for=condition={ConditionType.READY}", "mm/waited", "-n", namespace),
        "--timeout=5s",
    )


def incident(name: str, spec: IncidentSpec) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Incident",
        "metadata": {"name": name},
        "spec": spec.to_json(),
    }


def test_incident_comes_back_unchanged(namespace):
    """An Incident keeps all of an episode, shows it in columns, and is found by its monitor."""
    spec = IncidentSpec(monitor="fraud", target="Deployment/fraud", mode="Act")
    create(namespace, incident(EPISODE.name, spec))
    status = incident_status(EPISODE).to_json()
    set_status(namespace, f"incident/{EPISODE.name}", status)
    selector = "--field-selector=spec.monitor=fraud"
    stored = json.loads(get(namespace, "incidents", selector, "-o", "json"))["items"]
    assert [item["status"] for item in stored] == [status]
    titles, row = get(namespace, "inc", "-o", "wide").splitlines()
    assert titles.split() == ["NAME", "MONITOR", "PHASE", "SEVERITY", "CAUSE", "AGE", "WHY"]
    assert row.split()[:5] == [EPISODE.name, "fraud", "Resolved", "P1", "release"]
    assert row.endswith(EPISODE.why)
    del status["phase"]
    assert Episode.model_validate(status) == EPISODE


def test_incident_with_unknown_field_is_refused(namespace):
    """A misspelt field of an Incident is told, not dropped."""
    spec = IncidentSpec(monitor="fraud", target="Deployment/fraud", mode="Act")
    manifest = incident("misspelt", spec)
    manifest["spec"]["monitr"] = "fraud"
    with pytest.raises(RuntimeError, match=r'unknown field "spec\.monitr"'):
        try_to_create(namespace, manifest)
