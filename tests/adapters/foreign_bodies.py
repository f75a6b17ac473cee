"""Objects of other projects for the tests, as people write them and as controllers report them."""

import copy
from typing import Any

from tests.adapters.workload_bodies import template

Json = dict[str, Any]
LABELS = {"app": "model", "tier": "a"}
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts"
REPLICA_SETS = "/apis/apps/v1/namespaces/{}/replicasets"
ARGO_HASH = "rollouts-pod-template-hash"


def rollout(version: int = 2, **spec: Any) -> Json:
    """Return a Rollout with a canary strategy and a foreign annotation."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "model", "annotations": {"team.example.com/owner": "ranking"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "model"}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
            "template": template(version, **LABELS),
            **spec,
        },
    }


def rollout_status(stable: int, current: int, generation: int = 1, **more: Any) -> Json:
    """Return what the controller reports while version ``current`` replaces ``stable``."""
    return {
        "phase": "Healthy" if stable == current else "Progressing",
        "stableRS": f"hash{stable}",
        "currentPodHash": f"hash{current}",
        "observedGeneration": str(generation),
        "readyReplicas": 2,
        "conditions": [
            {
                "type": "Progressing",
                "status": "True",
                "reason": "ReplicaSetUpdated",
                "message": "making progress",
                "lastUpdateTime": "2026-11-01T10:00:00Z",
                "lastTransitionTime": "2026-11-01T09:00:00Z",
            }
        ],
        **more,
    }


def argo_replica_set(number: int, uid: str) -> Json:
    """Return the ReplicaSet that the controller made of version ``number``, scaled to zero."""
    labels = LABELS | {ARGO_HASH: f"hash{number}"}
    return {
        "metadata": {
            "name": f"model-hash{number}",
            "labels": labels,
            "annotations": {"rollout.argoproj.io/revision": str(number)},
            "ownerReferences": owners("argoproj.io/v1alpha1", "Rollout", uid),
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "model", ARGO_HASH: f"hash{number}"}},
            "template": template(number, **labels),
        },
    }


def owners(group_version: str, kind: str, uid: str, name: str = "model") -> list[Json]:
    """Return the references of an object to its controller."""
    return [
        {"apiVersion": group_version, "kind": kind, "name": name, "uid": uid, "controller": True}
    ]


def foreign_fields(body: Json, *ours: str) -> Json:
    """Return ``body`` without what servers keep, our mark and ``ours`` (paths joined by dots)."""
    body = copy.deepcopy(body)
    body.pop("status", None)
    for name in ("resourceVersion", "generation", "managedFields"):
        body["metadata"].pop(name, None)
    body["metadata"].get("annotations", {}).pop("backstop.dev/action-id", None)
    for path in ours:
        *parents, last = path.split(".")
        at = body
        for name in parents:
            at = at.get(name, {})
        at.pop(last, None)
    return body


INFERENCE_SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/{}/inferenceservices"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"


def model_uri(version: int) -> str:
    """Return where version ``version`` of the model lies."""
    return f"s3://models/fraud/{version}"


def inference_service(version: int = 2, name: str = "model", **predictor: Any) -> Json:
    """Return an InferenceService in Standard mode that serves ``version``."""
    served = {
        "model": {
            "modelFormat": {"name": "sklearn"},
            "storageUri": model_uri(version),
            "resources": {"requests": {"cpu": "100m"}},
        }
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "team.example.com/owner": "ranking",
            },
        },
        "spec": {"predictor": {"minReplicas": 2, **(predictor or served)}},
    }


def ready_status(generation: int = 1, **more: Any) -> Json:
    """Return what the controller reports of an InferenceService that serves."""
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-11-01T10:00:00Z"}
        for kind in ("IngressReady", "PredictorReady", "Ready")
    ]
    return {
        "observedGeneration": generation,
        "conditions": conditions,
        "modelStatus": {"transitionStatus": "UpToDate"},
        **more,
    }


def predictor_template(version: int, **labels: str) -> Json:
    """Return the pods that KServe makes of ``version``; odd ones tell it by an argument."""
    server = {"name": "kserve-container", "image": f"example.com/sklearn:v{version}"}
    found: Json = {"metadata": {"labels": labels}, "spec": {"containers": [server]}}
    if version % 2:
        start = {"name": "storage-initializer", "image": "example.com/init:1"}
        start["args"] = [model_uri(version), "/mnt/models"]  # type: ignore[assignment]
        found["spec"]["initContainers"] = [start]
    else:
        found["metadata"]["annotations"] = {SOURCE_URI: model_uri(version)}
    return found


def predictor_deployment(version: int, uid: str) -> Json:
    """Return the Deployment of the predictor."""
    labels = {"app": "isvc.model-predictor"}
    return {
        "metadata": {
            "name": "model-predictor",
            "ownerReferences": owners("serving.kserve.io/v1beta1", "InferenceService", uid),
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": predictor_template(version, **labels),
        },
    }


def predictor_replica_set(version: int, uid: str) -> Json:
    """Return what the Deployment with ``uid`` keeps of ``version``."""
    labels = {"app": "isvc.model-predictor", "pod-template-hash": f"hash{version}"}
    return {
        "metadata": {
            "name": f"model-predictor-hash{version}",
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": str(version)},
            "ownerReferences": owners("apps/v1", "Deployment", uid, "model-predictor"),
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": predictor_template(version, **labels),
        },
    }


CANARIES = "/apis/flagger.app/v1beta1/namespaces/{}/canaries"


def flagger_canary() -> Json:
    """Return a Canary of Deployment ``model``."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "fraud", "annotations": {"team.example.com/owner": "ranking"}},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10},
        },
    }


def flagger_target(version: int = 2, name: str = "model", configuration: str = "rules") -> Json:
    """Return the Deployment that people change; ``configuration`` names ConfigMap and Secret."""
    labels = {"app": name, "tier": "a"}
    pods = template(version, **labels)
    term = {"labelSelector": {"matchLabels": {"app": name}}, "topologyKey": "kubernetes.io/host"}
    pods["spec"] |= {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
        "volumes": [
            {"name": "rules", "configMap": {"name": configuration}},
            {"name": "keys", "secret": {"secretName": configuration}},
            {"name": "shared", "configMap": {"name": "shared-primary"}},
        ],
    }
    return {
        "metadata": {"name": name, "annotations": {"team.example.com/owner": "ranking"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": pods,
        },
    }


def flagger_primary(version: int, uid: str) -> Json:
    """Return the copy that Flagger made of ``version``, with all that it renames in a copy."""
    copied = flagger_target(version, "model-primary", "rules-primary")
    copied["metadata"]["ownerReferences"] = owners("flagger.app/v1beta1", "Canary", uid, "fraud")
    copied["spec"]["replicas"] = 2
    copied["spec"]["template"]["metadata"]["annotations"]["flagger-id"] = "1b4e28ba"
    return copied
