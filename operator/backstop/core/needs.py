"""Which verbs of the Kubernetes API a monitor needs, so that a missing one is known beforehand.

The same tables say what a role must grant: the chart's roles are held against them. In mode Observe
only reading is needed. What is used only where it is allowed, such as reading when a ConfigMap
changed, is no need of a monitor.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.runbook import Causes
from backstop.api.words import Cause, StepKind


class Need(NamedTuple):
    """One verb on one resource, as a rule of a role has them; ``resource`` may be a subresource."""

    group: str
    resource: str
    verb: str


def _needs(group: str, resource: str, *verbs: str) -> frozenset[Need]:
    return frozenset(Need(group, resource, verb) for verb in verbs)


_READ: Final = ("get", "list", "watch")
_WATCHED: Final = (*_READ, "patch")
_SCALE: Final = _needs("autoscaling", "horizontalpodautoscalers", "list", "patch")
_ONE_POD: Final = _needs("", "pods", "get", "delete")
_REPLICA_SETS: Final = _needs("apps", "replicasets", "get", "list")
_ENDPOINTS: Final = _needs("discovery.k8s.io", "endpointslices", "list")
_GATEWAY: Final = "gateway.networking.k8s.io"
_KSERVE: Final = _needs("serving.kserve.io", "inferenceservices", "get", "patch")

TARGETS: Final[Mapping[str, frozenset[Need]]] = {
    "Deployment": _needs("apps", "deployments", *_WATCHED)
    | _needs("apps", "deployments/scale", "get", "patch")
    | _REPLICA_SETS
    | _ONE_POD
    | _SCALE,
    "StatefulSet": _needs("apps", "statefulsets", *_WATCHED)
    | _needs("apps", "statefulsets/scale", "get", "patch")
    | _needs("apps", "controllerrevisions", "list")
    | _needs("", "pods", "list")
    | _ONE_POD
    | _SCALE,
    "Rollout": _needs("argoproj.io", "rollouts", *_WATCHED)
    | _needs("argoproj.io", "rollouts/status", "patch")
    | _needs("argoproj.io", "rollouts/scale", "get", "patch")
    | _REPLICA_SETS
    | _ONE_POD
    | _SCALE,
    "InferenceService": _KSERVE
    | _needs("apps", "deployments", "get")
    | _needs("serving.knative.dev", "services", "get")
    | _needs("serving.knative.dev", "revisions", "list")
    | _REPLICA_SETS
    | _ONE_POD,
    "Canary": _needs("flagger.app", "canaries", "get", "patch")
    | _needs("apps", "deployments", "get", "patch")
    | _REPLICA_SETS
    | _ONE_POD,
}
"""What each kind of target or candidate needs."""

ROUTERS: Final[Mapping[str, frozenset[Need]]] = {
    "HTTPRoute": _needs(_GATEWAY, "httproutes", *_WATCHED) | _ENDPOINTS,
    "GRPCRoute": _needs(_GATEWAY, "grpcroutes", *_WATCHED) | _ENDPOINTS,
    "VirtualService": _needs("networking.istio.io", "virtualservices", *_WATCHED) | _ENDPOINTS,
    "Ingress": _needs("networking.k8s.io", "ingresses", "get", "patch") | _ENDPOINTS,
    "Service": _needs("", "services", "get", "patch") | _ENDPOINTS,
    "ReplicaRatio": _needs("apps", "deployments", "get")
    | _needs("apps", "deployments/scale", "patch")
    | _needs("autoscaling", "horizontalpodautoscalers", "list")
    | _ENDPOINTS,
    "InferenceService": _KSERVE | _needs(_GATEWAY, "httproutes", "get") | _ENDPOINTS,
}
"""What each kind of router needs."""

JOBS: Final = _needs("batch", "cronjobs", "get") | _needs("batch", "jobs", "get", "create")
"""What ``runJob`` needs."""

DEFAULT_PREDICTIONS: Final = _needs("apps", "deployments", "get", "create", "patch") | _needs(
    "", "services", "get", "create", "patch"
)
"""What a fallback with a default prediction needs."""

ALL: Final = frozenset().union(*TARGETS.values(), *ROUTERS.values(), JOBS, DEFAULT_PREDICTIONS)
"""All that any monitor can need."""

_READS: Final = frozenset(_READ)


def needs(spec: ModelMonitorSpec, router: str | None, runbook: Causes | None) -> frozenset[Need]:
    """Return what a monitor with ``spec`` needs.

    ``router`` is the kind of its router, if it has one, ``runbook`` the steps that it names.
    """
    found = TARGETS[spec.target.kind]
    if spec.candidate is not None:
        found |= TARGETS[spec.candidate.kind]
    if router is not None:
        found |= ROUTERS.get(router, frozenset())
    if runbook is not None and _runs_jobs(runbook):
        found |= JOBS
    if spec.mode is Mode.OBSERVE:
        # A responder is not run then, so nobody looks for it either.
        return frozenset(one for one in found if one.verb in _READS)
    if spec.fallback is not None and spec.fallback.default_prediction is not None:
        found |= DEFAULT_PREDICTIONS
    return found


def _runs_jobs(runbook: Causes) -> bool:
    steps = (step for cause in Cause for step in runbook.steps(cause) or ())
    return any(step.kind is StepKind.RUN_JOB for step in steps)


def say(missing: Iterable[Need], namespace: str) -> str:
    """Return in one sentence what is missing, by resource; ``""`` where nothing is."""
    verbs: dict[str, list[str]] = {}
    for need in sorted(missing):
        name = f"{need.resource}.{need.group}" if need.group else need.resource
        verbs.setdefault(name, []).append(need.verb)
    if not verbs:
        return ""
    what = "; ".join(f"{', '.join(some)} {name}" for name, some in verbs.items())
    return (
        f"Backstop's service account may not, in namespace {namespace}: {what}."
        " Grant it in the role that is bound there"
    )
