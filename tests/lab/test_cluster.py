"""The lab behaves as a cluster does, as far as Backstop and its tests rely on it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator

import pytest
from tests.lab.cluster import (
    PORT,
    answers,
    apply,
    ask,
    deployment,
    eventually,
    kubectl,
    query,
    read,
    ready_addresses,
    route,
    service,
)

pytestmark = pytest.mark.cluster


@pytest.fixture
def namespace() -> Iterator[str]:
    """Give each test a namespace of its own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def _deploy(namespace: str, *names: str, replicas: int = 1) -> None:
    for name in names:
        apply(deployment(namespace, name, replicas=replicas), service(namespace, name))
    for name in names:
        eventually(
            f"{replicas} ready pods of {name}",
            lambda name=name: len(ready_addresses(namespace, name)) == replicas,
        )


def _gateway_answers(namespace: str, count: int) -> dict[str, int]:
    return answers(os.environ["LAB_GATEWAY_URL"], count, host=f"{namespace}.test")


def test_deployment_becomes_available_with_an_endpoint_for_each_pod(namespace: str) -> None:
    """Three replicas lead to an available Deployment and three ready, distinct addresses."""
    _deploy(namespace, "web", replicas=3)
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    status = read("deployment", "web", "-n", namespace)["status"]
    assert status["availableReplicas"] == 3
    pods = read("pods", "-n", namespace)["items"]
    assert {pod["status"]["podIP"] for pod in pods} == ready_addresses(namespace, "web")


def test_route_weights_split_real_requests_and_can_be_changed(namespace: str) -> None:
    """Envoy divides requests as the HTTPRoute says, and follows a change of the weights."""
    _deploy(namespace, "stable", "canary")
    apply(route(namespace, {"stable": 90, "canary": 10}))
    eventually("route in effect", lambda: _gateway_answers(namespace, 1).get("stable"))
    split = _gateway_answers(namespace, 400)
    assert split["stable"] + split["canary"] == 400
    assert 15 <= split["canary"] <= 70  # 10 % of 400, more than four standard deviations
    apply(route(namespace, {"stable": 100, "canary": 0}))
    eventually(
        "no more requests to the canary",
        lambda: _gateway_answers(namespace, 60) == {"stable": 60},
    )


def test_deleted_pod_is_replaced(namespace: str) -> None:
    """After a pod is deleted, another one with another address serves in its place."""
    _deploy(namespace, "web")
    (before,) = ready_addresses(namespace, "web")
    kubectl("delete", "pod", "-n", namespace, "-l", "app=web")
    eventually(
        "a new address", lambda: (now := ready_addresses(namespace, "web")) and before not in now
    )
    eventually("the old pod is gone", lambda: len(read("pods", "-n", namespace)["items"]) == 1)


def test_failing_readiness_probe_takes_the_endpoint_out(namespace: str) -> None:
    """A pod that says it is not ready stays running and gets no traffic."""
    _deploy(namespace, "web", replicas=2)
    victim = min(ready_addresses(namespace, "web"))
    ask(f"http://{victim}:{PORT}/unready", method="POST")
    eventually(
        "only the other address",
        lambda: (
            len(ready_addresses(namespace, "web") - {victim}) == 1
            and victim not in ready_addresses(namespace, "web")
        ),
    )
    assert ask(f"http://{victim}:{PORT}/") == "web"


def test_failing_process_is_restarted(namespace: str) -> None:
    """A container that ends is started again, and the pod's status counts it."""
    apply(deployment(namespace, "crash", command=["sh", "-c", "sleep 0.2; exit 3"]))

    def restarted() -> bool:
        pods = read("pods", "-n", namespace)["items"]
        statuses = [s for pod in pods for s in pod["status"].get("containerStatuses", ())]
        return any(
            s["restartCount"] >= 1 and s["lastState"]["terminated"]["exitCode"] == 3
            for s in statuses
        )

    eventually("a restart after exit code 3", restarted)


def test_liveness_probe_restarts_the_process(namespace: str) -> None:
    """A container whose liveness probe fails is started again and is ready then."""
    probe = {"httpGet": {"path": "/ready", "port": PORT}, "periodSeconds": 1, "failureThreshold": 3}
    manifest = deployment(namespace, "web", livenessProbe=probe)
    apply(manifest, service(namespace, "web"))
    (address,) = eventually("ready", lambda: ready_addresses(namespace, "web"))
    ask(f"http://{address}:{PORT}/unready", method="POST")

    def restarted() -> bool:
        (pod,) = read("pods", "-n", namespace)["items"]
        (status,) = pod["status"]["containerStatuses"]
        return bool(status["restartCount"] == 1 and status["ready"])

    eventually("restarted and ready again", restarted)


def test_prometheus_scrapes_annotated_pods_each_second(namespace: str) -> None:
    """An annotated pod has about one sample per second, with namespace, pod and app labels."""
    _deploy(namespace, "web")
    series = f'test_requests_total{{namespace="{namespace}",app="web"}}'
    eventually("five samples in 6 s", lambda: _samples(series) >= 5)
    (result,) = query(series)
    (pod,) = read("pods", "-n", namespace)["items"]
    assert result["metric"]["pod"] == pod["metadata"]["name"]


def _samples(series: str) -> int:
    results = query(f"count_over_time({series}[6s])")
    return int(results[0]["value"][1]) if results else 0


def test_cluster_ip_and_service_name_answer(namespace: str) -> None:
    """A Service answers on its ClusterIP and by its name, from all of its pods in turn."""
    _deploy(namespace, "web", replicas=2)
    address = read("service", "web", "-n", namespace)["spec"]["clusterIP"]
    assert ask(f"http://{address}/") == "web"
    eventually("the name resolves", lambda: ask(f"http://web.{namespace}.svc/") == "web")
    hosts = answers(f"http://{address}/environment", 10)
    assert {json.loads(host)["HOSTNAME"] for host in hosts} == {
        pod["metadata"]["name"] for pod in read("pods", "-n", namespace)["items"]
    }


def test_pods_get_environment_and_volumes(namespace: str) -> None:
    """References in env, `$(NAME)` in args, ConfigMap volumes and the account's files work."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": namespace},
        "data": {"colour": "green", "model.json": "{}"},
    }
    reference = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
    manifest = deployment(
        namespace,
        "web",
        env=[
            {"name": "COLOUR", "valueFrom": reference},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "BOTH", "value": "$(COLOUR)-$(POD)-$$(COLOUR)"},
        ],
        volumeMounts=[
            {"name": "settings", "mountPath": "/models/settings"},
            {"name": "settings", "mountPath": "/etc/web"},
        ],
    )
    spec = manifest["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "settings", "configMap": {"name": "settings"}}]
    apply(config, service(namespace, "web"), manifest)
    (address,) = eventually("ready", lambda: ready_addresses(namespace, "web"))
    url = f"http://{address}:{PORT}"
    environment = json.loads(ask(f"{url}/environment"))
    assert environment["BOTH"] == f"green-{environment['POD']}-$(COLOUR)"
    assert environment["WEB_SERVICE_PORT"] == "80"
    assert ask(f"{url}/file/models/settings/model.json") == "{}"
    assert ask(f"{url}/file/etc/web/colour") == "green"
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert ask(f"{url}/file{account}/namespace") == namespace
    assert ask(f"{url}/file{account}/token").count(".") == 2


def test_job_runs_to_completion(namespace: str) -> None:
    """A Job's pod that ends well makes the Job complete."""
    container = {"name": "job", "image": "none", "command": ["sh", "-c", "exit 0"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": namespace},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    apply(job)
    kubectl("wait", "--for=condition=complete", "job/job", "-n", namespace, "--timeout=30s")


def test_prometheus_can_be_stopped_and_started() -> None:
    """Scaled to 0, Prometheus does not answer; scaled to 1, it does and still knows its past."""
    eventually("some samples", lambda: query("up"))
    kubectl("-n", "monitoring", "scale", "deployment", "prometheus", "--replicas=0")
    eventually("no answer", lambda: not query("up"))
    past = "max_over_time(up[5m] offset 3s)"
    kubectl("-n", "monitoring", "scale", "deployment", "prometheus", "--replicas=1")
    eventually("the samples of before", lambda: query(past))
