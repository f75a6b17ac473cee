"""Faults while Backstop is uninstalled: nothing is lost quietly, and repeating it is harmless."""

from copy import deepcopy
from typing import Any

import pytest
from tests.cli.conftest import SPEC, Cluster
from tests.fakeapi.faults import Fault

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
OPEN = {
    "observedGeneration": 1,
    "circuit": {
        "phase": "Open",
        "since": "2026-01-01T00:00:00Z",
        "restore": [{"fraud": 100, "fraud-next": 0, "simple": 0}],
    },
}
HELD = {"name": "fraud", "finalizers": ["backstop.dev/restore-traffic", "other/kept"]}


def route(**weights: int) -> dict[str, Any]:
    backends = [{"name": name.replace("_", "-"), "weight": one} for name, one in weights.items()]
    return {
        "metadata": {"name": "fraud", "generation": 1},
        "spec": {"rules": [{"backendRefs": backends}]},
        "status": {},
    }


@pytest.fixture
def stopped(cluster: Cluster) -> Cluster:
    """Return a cluster in which no replica runs any more."""
    cluster.add(LEASES, {"metadata": {"name": "backstop"}, "spec": {}})
    return cluster


@pytest.fixture
def broken(stopped: Cluster) -> Cluster:
    """Return a cluster in which the circuit of `fraud` is open."""
    stopped.monitor(metadata=deepcopy(HELD), status=deepcopy(OPEN))
    stopped.add(ROUTES, route(fraud=0, fraud_next=0, simple=100))
    return stopped


def weights(cluster: Cluster) -> dict[str, int]:
    (found,) = [one for key, one in cluster.store.objects.items() if "httproutes" in key[0]]
    return {one["name"]: one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]}


def monitor(cluster: Cluster) -> dict[str, Any]:
    (found,) = [one for key, one in cluster.store.objects.items() if "modelmonitors" in key[0]]
    return found


def lease(cluster: Cluster) -> dict[str, Any]:
    (found,) = [one for key, one in cluster.store.objects.items() if "leases" in key[0]]
    return found


def test_traffic_is_put_back_and_the_monitor_is_let_go(broken: Cluster):
    """The finalizers of others stay, and the status tells what was done."""
    done = broken.run("stand-down")
    assert done.exit_code == 0, done.output
    assert "demo/fraud: weights of HTTPRoute/fraud put back" in done.output
    assert weights(broken) == {"fraud": 100, "fraud-next": 0, "simple": 0}
    found = monitor(broken)
    assert found["metadata"]["finalizers"] == ["other/kept"]
    assert found["status"]["circuit"]["phase"] == "Closed"
    assert found["status"]["why"].startswith("Backstop was uninstalled")


def test_repeating_it_changes_nothing_more(broken: Cluster):
    """A hook may be run again after it was cut off."""
    broken.run("stand-down")
    before = deepcopy(weights(broken))
    again = broken.run("stand-down")
    assert again.exit_code == 0
    assert "demo/fraud: let go" in again.output
    assert weights(broken) == before


def test_a_route_that_no_longer_lists_the_services_is_named(stopped: Cluster):
    """Nothing could be put back there: that is no success, and the monitor is kept."""
    stopped.monitor(metadata=deepcopy(HELD), status=deepcopy(OPEN))
    stopped.add(ROUTES, route(simple=100))
    failed = stopped.run("stand-down")
    assert failed.exit_code == 1
    assert "HTTPRoute/fraud has no rule that lists fraud and fraud-next and simple" in failed.output
    assert monitor(stopped)["metadata"]["finalizers"] == HELD["finalizers"]


@pytest.mark.parametrize("without", [{"traffic", "fallback", "candidate"}, {"target"}])
def test_an_open_circuit_without_a_router_is_told(stopped: Cluster, without: set[str]):
    """Somebody took the router out of the spec meanwhile, or the spec cannot be understood."""
    bare = {key: one for key, one in SPEC.items() if key not in without}
    stopped.monitor(metadata=deepcopy(HELD), status=deepcopy(OPEN), spec=bare)
    failed = stopped.run("stand-down")
    assert failed.exit_code == 1
    assert "the circuit is open, and the spec names no router that can be read" in failed.output
    assert monitor(stopped)["metadata"]["finalizers"] == HELD["finalizers"]


def test_a_route_that_cannot_be_written_is_named_and_its_monitor_kept(broken: Cluster):
    """Exit status 1 keeps Helm from removing what could still put it back."""
    broken.faults.append(Fault("patch", "httproutes/fraud", status=403, message="no rights"))
    done = broken.run("stand-down")
    assert done.exit_code == 1
    assert "look after the traffic of:" in done.output
    assert "demo/fraud: patch httproutes demo/fraud: no rights" in done.output
    assert "backstop.dev/restore-traffic" in monitor(broken)["metadata"]["finalizers"]


def test_one_that_fails_does_not_keep_the_others(broken: Cluster):
    """Each monitor is let go by itself."""
    other = {"name": "other", "finalizers": ["backstop.dev/restore-traffic"]}
    broken.monitor("other", metadata=other)
    broken.faults.append(Fault("patch", "modelmonitors/fraud", status=500))
    done = broken.run("stand-down")
    assert done.exit_code == 1
    assert "demo/other: let go" in done.output


def test_a_namespace_without_rights_does_not_keep_the_others(broken: Cluster):
    """One that was deleted has lost its Role; traffic elsewhere is put back all the same."""
    refused = Fault("list", "namespaces/gone/modelmonitors", status=403, message="no rights")
    broken.faults.append(refused)
    done = broken.run("stand-down", "-n", "gone", "-n", "demo")
    assert done.exit_code == 1
    assert "all monitors in gone: list modelmonitors gone: no rights" in done.output
    assert weights(broken) == {"fraud": 100, "fraud-next": 0, "simple": 0}


def test_one_that_is_slow_does_not_keep_the_others(stopped: Cluster):
    """A hook has minutes for thousands of monitors, so several are let go at the same time."""
    for number in range(8):
        metadata = {"name": f"m{number}", "finalizers": ["backstop.dev/restore-traffic"]}
        stopped.monitor(f"m{number}", metadata=metadata)
    stopped.faults.append(Fault("patch", "modelmonitors/m0$", delay=1.0))
    done = stopped.run("stand-down")
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("demo/")]
    assert len(lines) == 8
    assert lines[-1] == "demo/m0: let go"


def test_a_conflict_is_read_again(broken: Cluster):
    """Somebody may edit a monitor at that very moment."""
    broken.faults.append(Fault("patch", "modelmonitors/fraud/status", status=409))
    done = broken.run("stand-down")
    assert done.exit_code == 0, done.output
    assert monitor(broken)["metadata"]["finalizers"] == ["other/kept"]


def test_replicas_are_stopped_first(broken: Cluster):
    """The scale is written before anything else; a Deployment that is gone is no obstacle."""
    broken.add(f"{DEPLOYMENTS}", {"metadata": {"name": "backstop"}, "spec": {"replicas": 2}})
    done = broken.run("stand-down", "--deployment", "backstop", "--deployment", "gone")
    assert "there is no Deployment gone" in done.output
    assert "deployments" in broken.writes[0][1]


def test_nothing_is_touched_while_a_replica_renews_its_lease(broken: Cluster):
    """The sentence says what to do."""
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 10}
    lease(broken)["spec"] = spec
    done = broken.run("stand-down", "--timeout", "1s")
    assert done.exit_code == 1
    assert "a replica still renews the lease backstop after 1 s: stop it" in done.output
    assert weights(broken)["simple"] == 100


def test_without_the_definitions_there_is_nothing_to_do(stopped: Cluster):
    """Somebody may have removed them before."""
    stopped.faults.append(
        Fault(
            "list",
            "modelmonitors",
            status=404,
            message="the server could not find the requested resource",
        )
    )
    assert stopped.run("stand-down").exit_code == 0


def test_server_that_is_down_is_not_taken_for_a_replica(cluster: Cluster):
    """It is told at once, and no replica is said to renew what nobody could read."""
    cluster.faults.append(Fault("get", "leases", status=500))
    done = cluster.run("stand-down")
    assert done.output == "Error: get leases default/backstop: made to fail\n"
    assert done.exit_code == 1


def test_time_that_is_none_is_told(cluster: Cluster):
    """Before anything is stopped."""
    done = cluster.run("stand-down", "--timeout", "5 min")
    assert "'--timeout': '5 min' is not a duration; write for example 30s or 5m" in done.output
    assert done.exit_code == 2


def test_replicas_that_run_elsewhere_are_not_overlooked(broken: Cluster):
    """Helm installs into a namespace of its own; what still acts there would move traffic again."""
    del broken.store.objects[next(key for key in broken.store.objects if "leases" in key[0])]
    elsewhere = LEASES.replace("/default/", "/backstop/")
    holder = {"holderIdentity": "backstop-0", "leaseDurationSeconds": 10}
    broken.add(elsewhere, {"metadata": {"name": "backstop"}, "spec": holder})
    done = broken.run("stand-down", "--timeout", "1s")
    assert done.output == (
        "Error: there is no lease default/backstop, so replicas may run elsewhere: say where"
        " with --lease-namespace and --lease-name, or name their --deployment\n"
    )
    assert weights(broken)["simple"] == 100
    assert monitor(broken)["metadata"]["finalizers"] == HELD["finalizers"]


BY_HAND = {**SPEC, "candidate": {k: v for k, v in SPEC["candidate"].items() if k != "progression"}}
SHIFTED = {
    "observedGeneration": 1,
    "candidate": {"service": "fraud-next", "weight": 25},
    "shifted": [{"fraud": 75, "fraud-next": 25, "simple": 0}],
}
BEGUN = {
    "observedGeneration": 1,
    "action": {
        "id": "1",
        "step": "shiftTraffic",
        "name": "over",
        "state": "Planned",
        "subject": "HTTPRoute/fraud",
        "before": '{"0": {"fraud": 75, "fraud-next": 25, "simple": 0}}',
        "after": '{"0": {"fraud": 20, "fraud-next": 80, "simple": 0}}',
        "plannedAt": "2026-01-01T00:00:00Z",
    },
}


@pytest.mark.parametrize("status", [SHIFTED, BEGUN])
def test_what_a_runbook_has_shifted_is_put_back(cluster: Cluster, status: dict[str, Any]):
    """Also where only the intent was written; the candidate keeps what it had before."""
    cluster.monitor(metadata=deepcopy(HELD), status=deepcopy(status), spec=BY_HAND)
    cluster.add(ROUTES, route(fraud=20, fraud_next=80, simple=0))
    cluster.add(LEASES, {"metadata": {"name": "backstop"}, "spec": {}})
    done = cluster.run("stand-down")
    assert done.exit_code == 0, done.output
    assert weights(cluster) == {"fraud": 75, "fraud-next": 25, "simple": 0}
    assert "shifted" not in monitor(cluster)["status"] or not monitor(cluster)["status"]["shifted"]


@pytest.mark.parametrize("more", [{}, {"shifted": SHIFTED["shifted"]}])
def test_a_candidate_that_the_spec_names_no_more_gets_nothing(cluster: Cluster, more: Any):
    """Its traffic goes to the target, whatever else is put back."""
    known = {"observedGeneration": 1, "candidate": SHIFTED["candidate"], **more}
    bare = {key: one for key, one in SPEC.items() if key != "candidate"}
    cluster.monitor(metadata=deepcopy(HELD), status=known, spec=bare)
    cluster.add(ROUTES, route(fraud=20, fraud_next=80, simple=0))
    cluster.add(LEASES, {"metadata": {"name": "backstop"}, "spec": {}})
    done = cluster.run("stand-down")
    assert done.exit_code == 0, done.output
    assert weights(cluster) == {"fraud": 100, "fraud-next": 0, "simple": 0}


@pytest.mark.parametrize(("phase", "share"), [("Trial", 25), ("Paused", 25), ("Promoting", 100)])
def test_a_candidate_on_trial_gives_back_what_it_got(stopped: Cluster, phase: str, share: int):
    """Nobody judges it any more, and another Backstop begins its trial at the first step."""
    trial = {**SHIFTED["candidate"], "phase": phase, "weight": share}
    known = {"observedGeneration": 1, "candidate": trial}
    stopped.monitor(metadata=deepcopy(HELD), status=known)
    stopped.add(ROUTES, route(fraud=100 - share, fraud_next=share, simple=0))
    done = stopped.run("stand-down")
    assert done.exit_code == 0, done.output
    assert weights(stopped) == {"fraud": 100, "fraud-next": 0, "simple": 0}
    assert not monitor(stopped)["status"].get("candidate")


@pytest.mark.parametrize(
    "trial", [{"weight": 0}, {"phase": "Promoted"}, {"phase": "Aborted", "weight": 0}]
)
def test_what_others_gave_a_candidate_stays(stopped: Cluster, trial: dict[str, Any]):
    """So does what is the target's after a promotion."""
    known = {"observedGeneration": 1, "candidate": {**SHIFTED["candidate"], **trial}}
    stopped.monitor(metadata=deepcopy(HELD), status=known)
    stopped.add(ROUTES, route(fraud=75, fraud_next=25, simple=0))
    done = stopped.run("stand-down")
    assert "demo/fraud: let go" in done.output
    assert weights(stopped) == {"fraud": 75, "fraud-next": 25, "simple": 0}
    assert monitor(stopped)["status"]["candidate"]
