"""Whatever the schema allows, the model reads and writes without loss."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.api.specs import FULL, MINIMAL
from tests.api.values import EPISODE, STATUS

from backstop.api.base import ApiModel
from backstop.api.crd import INCIDENT, MODEL_MONITOR, Kind
from backstop.api.incident import IncidentPhase, incident_status
from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.schema import structural_schema
from backstop.api.status import Condition, ModelMonitorStatus

TEXT = st.characters(exclude_categories=["Cs"])
SECONDS = st.integers(0, int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()))
MICRO_TIMES = st.builds(
    lambda second, micro: f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{micro:06}Z",
    SECONDS,
    st.integers(0, 999_999),
)


def strings(node: dict[str, Any]) -> st.SearchStrategy[str]:
    """Return the strings that a part of the schema allows."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("format") == "date-time":
        return MICRO_TIMES
    if "pattern" in node:
        matching = st.from_regex(node["pattern"].replace("$", r"\Z"))
        return matching.filter(lambda text: len(text) <= node["maxLength"])
    return st.text(TEXT, min_size=node.get("minLength", 0), max_size=min(node["maxLength"], 20))


def values(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return the JSON values that a part of the schema allows; lists and maps kept short."""
    match node["type"]:
        case "string":
            return strings(node)
        case "integer":
            return st.integers(node.get("minimum", -(2**31)), node.get("maximum", 2**31 - 1))
        case "boolean":
            return st.booleans()
        case "array":
            keys = node.get("x-kubernetes-list-map-keys", [])
            unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
            return st.lists(values(node["items"]), max_size=3, unique_by=unique)
        case _ if "properties" not in node:
            names, most = st.text(TEXT, max_size=9), min(3, node["maxProperties"])
            return st.dictionaries(names, values(node["additionalProperties"]), max_size=most)
    parts = {name: values(part) for name, part in node["properties"].items()}
    if "lastTransitionTime" in parts:  # metav1.Condition has no microseconds
        parts["lastTransitionTime"] = MICRO_TIMES.map(lambda time: f"{time[:19]}Z")
    required = set(node.get("required", ()))
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in required},
        optional={name: part for name, part in parts.items() if name not in required},
    )


def statuses(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    return values(structural_schema(kind.status, path="status", defaults=False))


def holds_all_of(written: Any, json: Any) -> bool:
    """Return whether `written` has everything that `json` has; defaults may have been added."""
    if isinstance(json, dict):
        return all(name in written and holds_all_of(written[name], json[name]) for name in json)
    if isinstance(json, list):
        return len(written) == len(json) and all(map(holds_all_of, written, json))
    return bool(written == json)


def comes_back(model: type[ApiModel], json: dict[str, Any]) -> None:
    """Check that reading and writing loses nothing, and that the second round changes nothing."""
    read = model.model_validate(json)
    written = read.to_json()
    assert holds_all_of(written, json)
    assert model.model_validate(written) == read


@settings(max_examples=60, deadline=None)
@given(statuses(MODEL_MONITOR))
def test_any_monitor_status_comes_back(json):
    """The journal survives a restart, whatever stands in it."""
    comes_back(ModelMonitorStatus, json)


@settings(max_examples=60, deadline=None)
@given(statuses(INCIDENT))
def test_any_incident_status_comes_back(json):
    """An incident reads back as it was written."""
    comes_back(INCIDENT.status, json)


@pytest.mark.parametrize("status", [STATUS, ModelMonitorStatus()], ids=["full", "fresh"])
def test_status_equals_itself_after_json(status):
    """Nothing is lost or rounded on the way through JSON."""
    assert ModelMonitorStatus.model_validate(status.to_json()) == status


@pytest.mark.parametrize("spec", [FULL, MINIMAL], ids=["full", "minimal"])
def test_spec_equals_itself_after_json(spec):
    """A spec reads back as it was written, defaults filled in."""
    read = ModelMonitorSpec.model_validate(spec)
    assert ModelMonitorSpec.model_validate(read.to_json()) == read


def test_full_spec_has_every_default_spelt_out():
    """Writing a full spec adds nothing that was not there."""
    assert ModelMonitorSpec.model_validate(FULL).signals[0].persistence.looks == 3
    written = ModelMonitorSpec.model_validate(FULL).to_json()
    brief = {"signals", "runbook", "maintenance"}
    assert {name: written[name] for name in FULL.keys() - brief} == {
        name: FULL[name] for name in FULL.keys() - brief
    }


def test_unix_times_are_read_too():
    """The core counts in Unix seconds, and the status shows them as Kubernetes does."""
    status = ModelMonitorStatus.model_validate({"evidence_from": 1764000000.25})
    assert status.to_json()["evidenceFrom"] == "2025-11-24T16:00:00.250000Z"


def test_condition_times_have_seconds_only():
    """metav1.Condition has no microseconds; other tools read it strictly."""
    shown = STATUS.conditions[0].model_copy(update={"last_transition_time": EPISODE.onset})
    assert shown.to_json()["lastTransitionTime"] == "2026-11-23T07:30:00Z"


@pytest.mark.parametrize("status", ["true", "Yes", ""])
def test_condition_status_is_one_of_three(status):
    """True, False or Unknown, as text."""
    with pytest.raises(ValidationError):
        Condition.model_validate({**STATUS.conditions[0].to_json(), "status": status})


@pytest.mark.parametrize(
    ("unset", "phase"),
    [
        ((), IncidentPhase.RESOLVED),
        (("resolved",), IncidentPhase.REPAIRED),
        (("resolved", "repaired"), IncidentPhase.MITIGATED),
        (("resolved", "repaired", "mitigated"), IncidentPhase.OPEN),
    ],
)
def test_phase_of_an_incident_follows_its_times(unset, phase):
    """The phase is the last stage whose time is set."""
    episode = EPISODE.model_copy(update=dict.fromkeys(unset))
    status = incident_status(episode)
    assert status.phase is phase
    assert status.actions == EPISODE.actions
