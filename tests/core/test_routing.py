"""Which router a monitor names, between what it splits, and which weights a step asks of it."""

import dataclasses

import pytest
from tests.core.build import CANDIDATE, action, route, spec, status, view

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import StepKind
from backstop.core import weights
from backstop.core.facts import ObjectRef
from backstop.core.routing import route_of, wanted_weights
from backstop.core.view import Step, services
from backstop.core.weights import Services

RATIO = {"traffic": {"replicaRatio": {}}, "fallback": None}


@pytest.mark.parametrize(
    ("traffic", "kind", "name"),
    [
        ({"httpRoute": "r"}, "HTTPRoute", "r"),
        ({"grpcRoute": "r"}, "GRPCRoute", "r"),
        ({"virtualService": "r"}, "VirtualService", "r"),
        ({"ingress": "r"}, "Ingress", "r"),
        ({"service": "r"}, "Service", "r"),
        ({"inferenceService": "r"}, "InferenceService", "r"),
        ({"replicaRatio": {}}, "ReplicaRatio", "fraud"),
    ],
)
def test_a_router_goes_by_its_own_name_or_by_that_of_the_target(traffic, kind, name):
    """A ratio of replicas has no object of its own."""
    found = route_of(spec(traffic=traffic, fallback=None), "demo")
    assert found == ObjectRef(kind, "demo", name)


def test_without_a_router_there_is_none():
    """Nor anything to split, nor a weight to ask for."""
    alone = spec(traffic=None, fallback=None)
    assert route_of(alone, "demo") is None
    assert services("fraud", alone, ModelMonitorStatus()) is None
    step = Step(StepKind.OPEN_CIRCUIT, "id", "why")
    assert wanted_weights(view(spec=alone), step, route({"fraud": 100})) == {}


def test_where_pods_are_the_split_deployments_have_the_names():
    """The Services in front of them are not told apart."""
    both = spec(candidate={**CANDIDATE, "name": "next"}, **RATIO)
    assert services("fraud", both, ModelMonitorStatus()) == Services("fraud", "next", None)
    alone = spec(**RATIO)
    assert services("fraud", alone, ModelMonitorStatus()) == Services("fraud", None, None)


SWITCHED = {"fraud": 0, "fraud-next": 0, "simple": 1}


@pytest.mark.parametrize(
    ("kind", "weight", "grain", "expected"),
    [
        (StepKind.OPEN_CIRCUIT, 0, 1, {"fraud": 0, "fraud-next": 0, "simple": 1}),
        (StepKind.PROBE_CIRCUIT, 0, 1, {"fraud": 1, "fraud-next": 0, "simple": 0}),
        (StepKind.CLOSE_CIRCUIT, 0, 1, {"fraud": 1, "fraud-next": 0, "simple": 0}),
        (StepKind.SHIFT_TRAFFIC, 5, 1, {"fraud": 0, "fraud-next": 1, "simple": 0}),
        (StepKind.SHIFT_TRAFFIC, 0, 1, SWITCHED),
        (StepKind.OPEN_CIRCUIT, 0, 1000, {"fraud": 0, "fraud-next": 0, "simple": 1000}),
        (StepKind.PROBE_CIRCUIT, 0, 1000, {"fraud": 50, "fraud-next": 0, "simple": 950}),
        (StepKind.CLOSE_CIRCUIT, 0, 1000, {"fraud": 1000, "fraud-next": 0, "simple": 0}),
        (StepKind.SHIFT_TRAFFIC, 5, 1000, {"fraud": 950, "fraud-next": 50, "simple": 0}),
        (StepKind.SHIFT_TRAFFIC, 5, 0, {"fraud": 95, "fraud-next": 5, "simple": 0}),
    ],
)
def test_each_step_asks_in_the_parts_of_the_router(kind, weight, grain, expected):
    """Of a thousand, or of one: all or nothing. What ends a trial moves what is there."""
    seen = view(spec=spec(candidate=CANDIDATE))
    facts = dataclasses.replace(route(SWITCHED), grain=grain)
    step = Step(kind, "id", "why", candidate_weight=weight)
    assert wanted_weights(seen, step, facts) == {0: expected}


def test_a_monitor_without_a_service_of_the_target_moves_nothing():
    """The API refuses such a spec; one that was stored before is held anyway."""
    bare = spec().model_copy(update={"target": spec().target.model_copy(update={"service": None})})
    assert services("fraud", bare, ModelMonitorStatus()) is None


def test_the_fallback_is_told_from_a_candidate_that_left_together_with_it():
    """Neither had traffic before: the one that was on trial is not the one that answers."""
    before = {"fraud": 100, "next": 0, "simple": 0}
    trial = {"fingerprint": "a", "service": "next"}
    opened = {"phase": "Open", "restore": [before]}
    found = services("fraud", spec(fallback=None), status(candidate=trial, circuit=opened))
    assert found is not None
    assert found.fallback == "simple"


@pytest.mark.parametrize("kind", sorted(weights.TRAFFIC_STEPS))
def test_what_a_move_that_was_begun_is_about_is_named_until_it_is_finished(kind):
    """The spec names neither any more, but either may have got traffic by it."""
    before = {"fraud": 100, "next": 0, "simple": 0}
    begun = action(kind, before=weights.to_text({0: before}), after="{}")
    known = status(candidate={"fingerprint": "a", "service": "next"}, action=begun)
    found = services("fraud", spec(fallback={"service": "other"}), known)
    assert found == Services("fraud", "next", "simple")
