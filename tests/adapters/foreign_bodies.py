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
