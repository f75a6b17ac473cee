"""The objects of the test on a real node; all of them fit the Pod Security level `restricted`."""

from __future__ import annotations

from typing import Any

from tests.cluster.manifests import arm

from backstop_lab.prometheus import PROMETHEUS_URL

Object = dict[str, Any]
MODEL = "ranker"
VALUES: Object = {
    "image": {"repository": "localhost/backstop", "tag": "lab", "pullPolicy": "Never"},
    "sources": {"default": {"url": PROMETHEUS_URL}},
}


def namespace(name: str) -> Object:
    """Return a namespace that admits only restricted pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def service() -> Object:
    """Return the Service of the model."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": MODEL},
        "spec": {"selector": {"app": MODEL}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def deployment(image: str) -> Object:
    """Return the model as a team would run it."""
    container = {
        "name": "model",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["/opt/backstop/bin/python", "-m", "backstop_lab.workloads.model"],
        "env": [
            {"name": "VERSION", "value": "v1"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    labels = {"app": MODEL}
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": MODEL},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }


def monitor(where: str, name: str = MODEL, mode: str = "Act") -> Object:
    """Return a monitor of the model that rolls a bad release back, with short times."""
    spec = {
        "mode": mode,
        "preset": "backstop",
        "interval": "1s",
        "target": arm(where, MODEL),
        "rollback": {"goodAfter": "5s"},
        "limits": {"coolDown": "1s"},
        "signals": [
            {
                "name": "errors",
                "window": "5s",
                "minSamples": 20,
                "persistence": {"breaches": 1, "looks": 1},
                "threshold": {"errors": {}, "max": "5%"},
            }
        ],
    }
    metadata = {"name": name}
    kind = "ModelMonitor"
    return {
        "apiVersion": "backstop.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }
