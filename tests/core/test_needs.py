"""What a monitor needs to be allowed is known from its spec, before an incident needs it."""

import pytest
from tests.core.build import CANDIDATE, spec

from backstop.api.modelmonitor import Mode
from backstop.api.runbook import Causes
from backstop.core.needs import JOBS, ROUTERS, TARGETS, Need, needs, say

ROLLBACK = Need("apps", "deployments", "patch")
WEIGHTS = Need("gateway.networking.k8s.io", "httproutes", "patch")
RUNS_JOB = {"data": [{"name": "repair", "runJob": {"cronJob": "repair"}}]}
TELLS = {"data": [{"name": "tell", "notify": {}}]}


def test_an_acting_monitor_needs_its_target_and_its_router():
    """And nothing of kinds that it does not name."""
    found = needs(spec(mode="Act"), "HTTPRoute", None)
    assert {ROLLBACK, WEIGHTS} <= found
    assert found <= TARGETS["Deployment"] | ROUTERS["HTTPRoute"]


def test_observing_needs_reading_only():
    """A role without any write is enough to try Backstop."""
    found = needs(spec(mode="Observe"), "HTTPRoute", None)
    assert {one.verb for one in found} == {"get", "list", "watch"}


def test_a_router_is_needed_only_where_it_is_named():
    """As is a kind that is no router at all."""
    assert needs(spec(mode="Act"), None, None) == TARGETS["Deployment"]
    assert needs(spec(mode="Act"), "Canary", None) == TARGETS["Deployment"]


def test_the_candidate_may_be_of_another_kind():
    """What it needs is needed as well."""
    other = {**CANDIDATE, "kind": "StatefulSet"}
    assert needs(spec(mode="Act", candidate=other), None, None) == (
        TARGETS["Deployment"] | TARGETS["StatefulSet"]
    )


@pytest.mark.parametrize(("steps", "needed"), [(RUNS_JOB, True), (TELLS, False)])
def test_jobs_are_needed_where_the_runbook_runs_them(steps, needed):
    """Not by a runbook that only speaks."""
    found = needs(spec(mode="Act"), None, Causes.model_validate(steps))
    assert (found >= JOBS) is needed


@pytest.mark.parametrize(
    ("fallback", "needed"),
    [({"defaultPrediction": {"body": "{}"}}, True), ({"service": "simple"}, False)],
)
def test_a_default_prediction_needs_a_workload_of_its_own(fallback, needed):
    """A Service of a simpler model needs nothing more."""
    found = needs(spec(mode="Act", fallback=fallback), "HTTPRoute", None)
    assert (Need("", "services", "create") in found) is needed


def test_observing_looks_for_no_default_prediction():
    """It is not run in mode Observe, so a role that cannot read Services is enough."""
    fallback = {"defaultPrediction": {"body": "{}"}}
    found = needs(spec(mode="Observe", fallback=fallback), "HTTPRoute", None)
    assert found == needs(spec(mode="Observe"), "HTTPRoute", None)


def test_what_is_missing_is_said_by_resource_with_the_verbs():
    """So that it can be pasted into a role."""
    some = [ROLLBACK, Need("apps", "deployments", "get"), Need("", "pods", "delete")]
    assert say(some, "demo") == (
        "Backstop's service account may not, in namespace demo: delete pods;"
        " get, patch deployments.apps. Grant it in the role that is bound there"
    )
    assert say([], "demo") == ""


def test_every_mode_is_known():
    """A mode that is added must say what it needs."""
    assert {one.value for one in Mode} == {"Observe", "Approve", "Act"}
