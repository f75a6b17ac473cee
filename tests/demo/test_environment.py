"""The demo runs against any cluster: addresses come from outside, and so does the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop_lab.demo import environment, manifests, run
from backstop_lab.demo.environment import DemoError
from backstop_lab.demo.scenarios.scenario import ALL_TO_TARGET
from backstop_lab.demo.snapshot import is_rolled_out, version_of, weights_of
from backstop_lab.workloads.fault import ActiveFault, Fault
from backstop_lab.workloads.model import score, store_url

COMPLETE = {"LAB_GATEWAY_URL": "http://g", "LAB_PROMETHEUS_URL": "http://p"}


def test_a_complete_environment_is_read() -> None:
    """The addresses are taken as they are."""
    found = environment.read(COMPLETE)
    assert (found.gateway_url, found.prometheus_url) == ("http://g", "http://p")


@pytest.mark.parametrize("name", list(COMPLETE))
def test_a_missing_variable_is_named_together_with_what_to_do(name: str) -> None:
    """An empty variable is a missing one."""
    with pytest.raises(DemoError, match=rf"^{name} is not set\. Run `make demo`"):
        environment.read({**COMPLETE, name: ""})


def test_the_command_says_what_to_do_where_there_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Started by itself, the demo ends with a sentence and touches nothing."""
    for name in COMPLETE:
        monkeypatch.delenv(name, raising=False)
    assert run.main(["--out", str(tmp_path / "report")]) == 1
    said = capsys.readouterr().err
    assert "LAB_GATEWAY_URL, LAB_PROMETHEUS_URL are not set. Run `make demo`" in said
    assert not (tmp_path / "report").exists()


def of_kind(kind: str, image: str = "x") -> dict[str, dict[str, Any]]:
    objects = manifests.load(image)
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def test_every_pod_gets_the_image_that_was_asked_for() -> None:
    """On a cluster that pulls images no placeholder is left."""
    images = {
        container["image"]
        for item in of_kind("Deployment", "registry.test/demo:1").values()
        for container in item["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"registry.test/demo:1"}


def test_services_come_before_the_pods_that_find_them_by_variables() -> None:
    """A kubelet sets a Service's variables only in pods that start after it."""
    order = [(item["kind"], item["metadata"]["name"]) for item in manifests.load()]
    assert order.index(("Service", "feature-store")) < order.index(("Deployment", "ranker"))


def test_the_monitor_is_valid_and_names_what_the_other_manifests_define() -> None:
    """Target, candidate, fallback and route exist, and all traffic begins at the target."""
    spec = ModelMonitorSpec.model_validate(of_kind("ModelMonitor")["ranker"]["spec"])
    assert spec.candidate is not None
    assert spec.traffic is not None
    assert spec.fallback is not None
    assert {spec.target.name, spec.candidate.name} <= set(of_kind("Deployment"))
    services = {spec.target.service, spec.candidate.service, spec.fallback.service}
    assert services <= set(of_kind("Service"))
    assert dict(weights_of(of_kind("HTTPRoute")[spec.traffic.http_route])) == ALL_TO_TARGET


def test_the_version_of_a_deployment_is_read_from_its_environment() -> None:
    """Without a VERSION there is none."""
    deployment = of_kind("Deployment")["ranker"]
    assert version_of(deployment) == "v1"
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = []
    assert version_of(deployment) == ""


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),
        ({"replicas": 4}, False),
        ({"updatedReplicas": 2}, False),
        ({"availableReplicas": 2}, False),
    ],
)
def test_a_rollout_is_complete_when_no_old_pod_is_left(
    status: dict[str, int], *, complete: bool
) -> None:
    """A status about an older generation, or a pod too many or too few, is not complete."""
    whole = {"observedGeneration": 2, **dict.fromkeys(("replicas", "updatedReplicas"), 3)}
    deployment = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 3},
        "status": {**whole, "availableReplicas": 3, **status},
    }
    assert is_rolled_out(deployment) is complete


def test_a_fault_is_read_from_the_environment_of_the_pod() -> None:
    """Unset and empty variables mean no fault."""
    fault = Fault.from_environment({"ERROR_RATE": "0.3", "EXTRA_LATENCY_MS": ""})
    assert fault == Fault(error_rate=0.3)


@pytest.mark.parametrize("environment", [{"ERROR_RATE": "1.2"}, {"EXTRA_LATENCY_MS": "slow"}])
def test_a_fault_that_makes_no_sense_is_refused(environment: dict[str, str]) -> None:
    """A typo must not become a healthy release."""
    with pytest.raises(ValidationError, match="1 validation error"):
        Fault.from_environment(environment)


def test_a_fault_stays_hidden_until_its_time() -> None:
    """The release is healthy first: neither errors nor latency before."""
    now, later = Fault(error_rate=1, extra_latency_ms=50), Fault(error_rate=1, extra_latency_ms=50)
    later = later.model_copy(update={"fail_after_seconds": 3600.0})
    assert (ActiveFault(now).strikes(), ActiveFault(now).latency()) == (True, 0.05)
    assert (ActiveFault(later).strikes(), ActiveFault(later).latency()) == (False, 0.0)


def test_the_feature_store_is_found_by_variables_or_by_name() -> None:
    """Without FEATURES the model is the simple one."""
    variables = {"FEATURE_STORE_SERVICE_HOST": "10.96.0.7", "FEATURE_STORE_SERVICE_PORT": "81"}
    assert store_url({}) is None
    assert store_url({"FEATURES": "feature-store"}) == "http://feature-store:80/features/"
    found = store_url({"FEATURES": "feature-store", **variables})
    assert found == "http://10.96.0.7:81/features/"


def test_a_score_is_a_probability_that_moves_with_its_features() -> None:
    """More clicks mean a higher score; a missing value counts as the mean."""
    few, many = score({"clicks_7d": 0.1}), score({"clicks_7d": 0.9})
    assert 0 < few < many < 1
    assert score({"clicks_7d": None}) == score({"clicks_7d": 0.5})
