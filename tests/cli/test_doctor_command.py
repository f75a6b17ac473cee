"""Each finding of the doctor is one sentence that says what to change."""

from typing import Any

import pytest
from tests.cli.conftest import Cluster
from tests.fakeapi.faults import Fault

PROMETHEUS = ("--prometheus", "http://127.0.0.1:9")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
UNKNOWN = 'ModelMonitor in version "v1alpha1" cannot be handled: unknown field "spec.runbook"'


def test_a_cluster_without_backstop(cluster: Cluster):
    """Definitions, lease and source are missing; the exit status is 1."""
    done = cluster.run("doctor", *PROMETHEUS)
    assert done.exit_code == 1
    assert "WRONG  definitions: the cluster knows none of Backstop's kinds: apply crds/" in (
        done.output
    )
    assert "WRONG  lease default/backstop: does not exist: no replica has begun to act" in (
        done.output
    )
    assert "WRONG  source default: " in done.output


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        ("backstop-0-ab", "ok     lease default/backstop: is held by backstop-0-ab"),
        ("", "WRONG  lease default/backstop: is held by nobody: no replica acts"),
    ],
)
def test_who_acts_is_told(cluster: Cluster, holder: str, said: str):
    """A lease that was given up means that nobody watches."""
    cluster.add(LEASES, {"metadata": {"name": "backstop"}, "spec": {"holderIdentity": holder}})
    assert said in cluster.run("doctor", *PROMETHEUS).output


def test_definitions_that_are_too_old_are_told(cluster: Cluster):
    """As after an upgrade of the operator alone."""
    cluster.faults.append(Fault("create", "modelmonitors", status=400, message=UNKNOWN))
    done = cluster.run("doctor", *PROMETHEUS, "--dry-run-namespace", "demo")
    assert "WRONG  a monitor: create modelmonitors demo: " in done.output
    assert "the definitions are older than this Backstop: apply its crds/" in done.output


def test_an_operator_that_does_not_answer_is_told(cluster: Cluster):
    """With the address that was asked."""
    done = cluster.run("doctor", *PROMETHEUS, "--url", "http://127.0.0.1:9")
    assert "WRONG  operator: http://127.0.0.1:9/readyz: " in done.output


def test_a_missing_source_is_a_sentence(cluster: Cluster):
    """As for `backstop run`."""
    done = cluster.run("doctor")
    assert done.exit_code == 1
    assert "no metrics source" in done.output


def test_an_api_server_that_is_down_is_told_once_for_each_question(cluster: Cluster):
    """And nothing is taken for granted."""
    cluster.faults.extend(Fault("get", "leases", nth=1, status=500) for _ in range(1))
    done = cluster.run("doctor", *PROMETHEUS)
    assert "WRONG  lease default/backstop: get leases default/backstop: made to fail" in done.output


def test_the_lease_of_each_shard_is_looked_at(cluster: Cluster):
    """As the replicas name them; that of an only replica is none of theirs."""
    done = cluster.run("doctor", *PROMETHEUS, "--shards", "2")
    assert "WRONG  lease default/backstop-0: does not exist" in done.output
    assert "WRONG  lease default/backstop-1: does not exist" in done.output
    assert "lease default/backstop:" not in done.output


def test_rights_that_cannot_be_asked_for_are_not_said_to_be_there(cluster: Cluster):
    """An API server that is down has granted nothing."""
    cluster.faults.append(Fault("create", "selfsubjectrulesreviews", status=500))
    output = cluster.run("doctor", *PROMETHEUS).output
    assert "WRONG  rights in all namespaces: create selfsubjectrulesreviews: made to" in output


def test_rights_that_are_listed_in_part_are_said_to_be_unknown(cluster: Cluster, monkeypatch):
    """As where a webhook decides, which lists no rules."""

    async def create(*_: object, **__: object) -> dict[str, Any]:
        return {"status": {"incomplete": True, "resourceRules": []}}

    monkeypatch.setattr("backstop.adapters.kube.KubernetesApi.create", create)
    output = cluster.run("doctor", *PROMETHEUS).output
    assert "ok     rights in all namespaces: not known: the API server lists only a part" in output


def test_an_api_server_that_is_not_there_is_told_by_what_was_asked(cluster: Cluster):
    """Each line names its question."""
    text = cluster.kubeconfig.read_text().replace(cluster.url, "http://127.0.0.1:9")
    cluster.kubeconfig.write_text(text)
    output = cluster.run("doctor", *PROMETHEUS).output
    assert "WRONG  definitions: get /apis/backstop.dev/v1alpha1: cannot connect" in output
    assert "Error: 4 of 4 findings need somebody" in output
