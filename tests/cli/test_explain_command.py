"""`backstop explain` says what the operator would do now, by its own look, and changes nothing."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.backtest.record_server import RecordServer, record_server, rejects
from tests.cli.conftest import SPEC, Cluster
from tests.fakeapi.faults import Fault

DEPLOYMENTS = "/apis/apps/v1/namespaces/demo/deployments"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes"
MAPS = "/api/v1/namespaces/default/configmaps"
ALONE = {name: value for name, value in SPEC.items() if name != "candidate"}
BROKEN_FOR = 40.0


@pytest.fixture
def prometheus() -> Iterator[RecordServer]:
    """Serve a record of 100 requests/s in which nothing fails yet."""
    with record_server() as server:
        server.add("r", lambda at: 100.0 * at, app="fraud", code="200", pod="a")
        yield server


def fails(server: RecordServer, share: float) -> None:
    """Let this share of the requests have failed for a while."""
    since = time.time() - BROKEN_FOR
    server.add("r", _since(since, 100.0 * share), app="fraud", code="500", pod="a")


def _since(begin: float, rate: float) -> Callable[[float], float]:
    return lambda at: max(0.0, at - begin) * rate


def deployment(name: str = "fraud") -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "model", "image": "model:2"}
    return {
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": 2,
            "availableReplicas": 2,
        },
    }


def route(**weights: int) -> dict[str, Any]:
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    parents = [{"name": "edge"}]
    accepted = {"type": "Accepted", "status": "True", "observedGeneration": 1}
    return {
        "metadata": {"name": "fraud", "namespace": "demo"},
        "spec": {"parentRefs": parents, "rules": [{"backendRefs": backends}]},
        "status": {"parents": [{"parentRef": parents[0], "conditions": [accepted]}]},
    }


@pytest.fixture
def watched(cluster: Cluster) -> Cluster:
    """Give a monitor with its target and its route."""
    cluster.add(DEPLOYMENTS, deployment())
    cluster.add(ROUTES, route(fraud=100, simple=0))
    return cluster


def explained(cluster: Cluster, server: RecordServer, *arguments: str) -> dict[str, list[str]]:
    """Return the sections of the page by title; the head has the title ""."""
    result = cluster.run("explain", "fraud", "--prometheus", server.url, *arguments)
    assert result.exit_code == 0, result.output
    assert cluster.writes == []
    return sections(result.output)


def sections(output: str) -> dict[str, list[str]]:
    head, *parts = output.rstrip("\n").split("\n\n")
    named = {title: said.split("\n") for title, said in (one.split("\n", 1) for one in parts)}
    return {"": head.split("\n")} | {
        title: " ".join(line.strip() if line.startswith("      ") else f"|{line}" for line in said)
        .replace("|  ", "|")
        .strip("|")
        .split(" |")
        for title, said in named.items()
    }


def test_healthy_monitor_would_do_nothing(watched: Cluster, prometheus: RecordServer):
    """One look suffices for a verdict: the scrapes before it are still there to be looked at."""
    watched.monitor(spec=ALONE)
    page = explained(watched, prometheus)
    assert page[""][1].startswith("by a look at ")
    (signal,) = page["Signals"]
    assert signal.startswith("errors on target: Healthy: errors 0 % (0 of ")
    assert page["Diagnosis"] == ["all signals of the target hold"]
    assert page["Circuit"] == ["Closed"]
    assert page["Next"] == ["no action: all signals of fraud are healthy"]


def test_breach_is_diagnosed_and_the_next_step_is_said(watched: Cluster, prometheus: RecordServer):
    """What the operator would do first, in words, with the numbers that speak for it."""
    watched.monitor(spec=ALONE)
    fails(prometheus, 1.0)
    page = explained(watched, prometheus)
    assert page["Signals"][0].startswith("errors on target: Breached: errors 50 % (")
    assert page["Diagnosis"][0].startswith("infrastructure: target fails: errors 50 % (")
    assert page["Runbook"][0] == "steps for infrastructure, built-in"
    assert page["Runbook"][1].startswith("1. to-the-fallback (openCircuit): to come")
    (said,) = page["Next"]
    assert said.startswith("give all traffic to Service simple: target fails: errors 50 %")


def test_mode_observe_is_said(watched: Cluster, prometheus: RecordServer):
    """What would be done, and that it is not."""
    watched.monitor(spec={**ALONE, "mode": "Observe"})
    fails(prometheus, 1.0)
    (said,) = explained(watched, prometheus)["Next"]
    assert said.startswith("if the mode were not Observe, would give all traffic to Service simple")


def test_mode_approve_shows_the_command(watched: Cluster, prometheus: RecordServer):
    """Whoever reads the page can copy what approves the step."""
    watched.monitor(spec={**ALONE, "mode": "Approve"})
    fails(prometheus, 1.0)
    page = explained(watched, prometheus)
    assert any(
        line.startswith("approve it by: backstop approve fraud ") and line.endswith(" -n demo")
        for line in page["Brakes"]
    )


def test_kill_switch_holds_what_would_be_done(watched: Cluster, prometheus: RecordServer):
    """It is read as the operator reads it, where the operator has its lease."""
    watched.monitor(spec=ALONE)
    fails(prometheus, 1.0)
    switch = {"metadata": {"name": "backstop-kill-switch"}, "data": {"engaged": "true"}}
    watched.add(MAPS, switch | {"data": {"engaged": "true", "reason": "a drill"}})
    (held,) = explained(watched, prometheus)["Brakes"]
    assert "all actions are stopped: a drill" in held
    other = explained(watched, prometheus, "--lease-namespace", "ops")
    assert "Brakes" not in other


def test_others_that_act_count(watched: Cluster, prometheus: RecordServer):
    """The limits of the whole operator hold here, too."""
    watched.monitor(spec=ALONE)
    fails(prometheus, 1.0)
    recent = {"recentActions": [{"last": "2099-01-01T00:00:00.000000Z", "count": 60}]}
    watched.monitor("other", "shop", spec=ALONE, status=recent)
    (held,) = explained(watched, prometheus)["Brakes"]
    assert "all monitors together took 60 actions in the last hour, allowed 60" in held


def test_others_may_be_forbidden_to_list(watched: Cluster, prometheus: RecordServer):
    """Then this monitor is explained as if it were alone."""
    watched.monitor(spec=ALONE)
    watched.faults.append(Fault("list", "/v1alpha1/modelmonitors", status=403))
    assert explained(watched, prometheus)["Next"]


def test_kill_switch_that_cannot_be_read_is_told(watched: Cluster, prometheus: RecordServer):
    """The operator would not act either."""
    watched.monitor(spec=ALONE)
    fails(prometheus, 1.0)
    watched.faults.append(Fault("get", "kill-switch", status=403))
    (held,) = explained(watched, prometheus)["Brakes"]
    assert "the kill switch cannot be read" in held


def test_missing_target_is_a_problem(cluster: Cluster, prometheus: RecordServer):
    """What keeps Backstop from acting stands first."""
    cluster.monitor(spec=ALONE)
    cluster.add(ROUTES, route(fraud=100, simple=0))
    (problem,) = explained(cluster, prometheus)["Problems"]
    assert problem.startswith("TargetFound: Deployment/fraud does not exist in namespace demo")


def test_source_that_refuses_is_unknown_and_a_problem(watched: Cluster, prometheus: RecordServer):
    """A missing number is never a verdict."""
    watched.monitor(spec=ALONE)
    prometheus.override = lambda _: rejects("too much")
    page = explained(watched, prometheus)
    assert page["Signals"][0].startswith("errors on target: Unknown (BadQuery)")
    assert page["Problems"][0].startswith("MetricsAvailable: ")


def test_source_that_is_not_configured_is_told(watched: Cluster, prometheus: RecordServer):
    """The monitor names another source than the command."""
    watched.monitor(spec={**ALONE, "source": "team"})
    page = explained(watched, prometheus)
    assert "the operator has no metrics source named team" in page["Signals"][0]


def test_runbook_that_is_missing_is_a_problem(watched: Cluster, prometheus: RecordServer):
    """As it is for the operator."""
    watched.monitor(spec={**ALONE, "runbook": {"name": "team"}})
    (problem,) = explained(watched, prometheus)["Problems"]
    assert problem.startswith("Ready: Runbook/team does not exist in namespace demo")


def test_by_the_status_alone(cluster: Cluster):
    """Without a source, what the operator wrote is told, and nothing is made up."""
    at = "2026-11-23T07:30:00.000000Z"
    unmet = {
        "type": "RouteReady",
        "status": "False",
        "reason": "RouteNotFound",
        "message": "no route",
        "lastTransitionTime": "2026-11-23T07:30:00Z",
    }
    incident = {
        "name": "fraud-1",
        "cause": "release",
        "severity": "P1",
        "arm": "target",
        "onset": at,
        "detected": at,
        "why": "errors 50 %",
    }
    status = {"why": "circuit open", "incident": incident, "conditions": [unmet]}
    cluster.monitor(status=status)
    result = cluster.run("explain", "fraud")
    assert result.exit_code == 0
    page = sections(result.output)
    assert page[""][1].startswith("by its status alone at ")
    assert page["Problems"] == ["RouteReady: no route"]
    assert page["Diagnosis"] == ["release: errors 50 %"]
    assert page["Runbook"][0] == "steps for release, built-in"
    assert page["Next"][0].endswith("Backstop said last: circuit open")


def test_suspended_monitor_is_not_looked_at(cluster: Cluster, prometheus: RecordServer):
    """The operator does not look either."""
    cluster.monitor(spec={**ALONE, "suspend": True})
    page = explained(cluster, prometheus)
    assert page["Brakes"] == [
        "spec.suspend is true: nothing is looked at, and traffic stays as it is"
    ]
    assert prometheus.asked == []


def test_invalid_monitor_is_told(cluster: Cluster, prometheus: RecordServer):
    """There is nothing to explain about a spec that nobody understands."""
    cluster.monitor(spec={**ALONE, "interval": "soon"})
    result = cluster.run("explain", "fraud", "--prometheus", prometheus.url)
    assert result.exit_code == 1
    assert result.output.startswith('Error: fraud cannot be watched: spec.interval: "soon" is not')


def test_expression_that_does_not_parse_is_a_problem(cluster: Cluster, prometheus: RecordServer):
    """The spec is valid, its PromQL is not."""
    errors = {"errors": {"requests": "r{", "errors": "r"}, "max": "5%"}
    cluster.monitor(spec={**ALONE, "signals": [{"name": "errors", "threshold": errors}]})
    assert "is not valid PromQL" in explained(cluster, prometheus)["Problems"][0]


def test_configuration_that_cannot_be_read_is_told(cluster: Cluster, tmp_path):
    """The same sentence as the operator's."""
    cluster.monitor()
    config = tmp_path / "config.yaml"
    config.write_text("budgets: {}\n")
    result = cluster.run("explain", "fraud", "--config", str(config))
    assert result.exit_code == 1
    assert result.output.startswith("Error: no metrics source")
