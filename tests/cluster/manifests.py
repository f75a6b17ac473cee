"""The objects of a small model service: Deployments, Services, the route, and its monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Object = dict[str, Any]

POD = Path(__file__).with_name("model_pod.py")
PORT = 8080
TARGET, CANDIDATE, FALLBACK, STORE = "model", "next", "simple", "store"
ROUTE = MONITOR = "model"


def environment(**variables: str) -> list[Object]:
    """Return the container environment with `variables` and the pod's own address."""
    own = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return [own, *({"name": name, "value": value} for name, value in variables.items())]


def deployment(name: str, *, replicas: int = 1, **variables: str) -> Object:
    """Return a Deployment of the model service that keeps all old pods until new ones are ready."""
    labels = {"app": name}
    container = {
        "name": "model",
        "image": "model",
        "command": ["python3", str(POD)],
        "env": environment(**{"VERSION": name, **variables}),
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 3,
        },
    }
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"team": "models"}, "annotations": {"note": "kept"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def workload(kind: str, name: str, *, replicas: int = 1, **variables: str) -> Object:
    """Return the Deployment, or the StatefulSet with the same pods."""
    made = deployment(name, replicas=replicas, **variables)
    if kind == "StatefulSet":
        del made["spec"]["strategy"]
        made["spec"]["serviceName"] = name
    return {**made, "kind": kind}


def autoscaler(name: str, *, least: int, most: int) -> Object:
    """Return the autoscaler of a Deployment; the lab has no metrics, so it keeps to its bounds."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    }


def cron_job(name: str, *command: str) -> Object:
    """Return a suspended CronJob: a template for Jobs that run a command once."""
    container = {"name": "main", "image": "model", "command": list(command)}
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    job = {"backoffLimit": 0, "template": {"spec": pod}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "0 3 1 1 *", "suspend": True, "jobTemplate": {"spec": job}},
    }


def service(name: str) -> Object:
    """Return a Service in front of the Deployment of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT}]},
    }


def route(host: str, weights: dict[str, int], ports: dict[str, int] | None = None) -> Object:
    """Return the HTTPRoute of `host` with one rule; ports are 80 where not given."""
    backends = [
        {"name": name, "port": (ports or {}).get(name, 80), "weight": weight}
        for name, weight in weights.items()
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "default"}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


def errors_signal(**changes: Any) -> Object:
    """Return a signal that is breached when more than 10 % of the answers are errors."""
    return {
        "name": "errors",
        "window": "4s",
        "minSamples": 10,
        "persistence": {"breaches": 1, "looks": 1},
        "threshold": {
            "errors": {"requests": "requests_total", "errors": 'requests_total{code=~"5.."}'},
            "max": "10%",
        },
        **changes,
    }


def monitor(namespace: str, *, name: str = MONITOR, **spec: Any) -> Object:
    """Return a ModelMonitor in mode Act with short times; None removes a field of the spec."""
    whole = {
        "mode": "Act",
        "interval": "1s",
        "target": arm(namespace, TARGET),
        "traffic": {"httpRoute": ROUTE},
        "fallback": {"service": FALLBACK},
        "circuit": {"openFor": "3s", "probeWeight": 50, "probeFor": "2s"},
        "rollback": {"goodAfter": "3s"},
        "limits": {"coolDown": "1s", "actionsPerHour": 500},
        "signals": [errors_signal()],
        **spec,
    }
    return {
        "apiVersion": "backstop.dev/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": name},
        "spec": {field: value for field, value in whole.items() if value is not None},
    }


def arm(namespace: str, name: str, **more: Any) -> Object:
    """Return the workload `name` as a monitor names its target or candidate."""
    return {
        "name": name,
        "service": name,
        "metricLabels": {"namespace": namespace, "app": name},
        **more,
    }
