"""Prometheus, as an ordinary Deployment in the cluster, so it can be scaled to 0 and back.

It scrapes each second every running pod that is annotated `prometheus.io/scrape: "true"`. Its
data lives in the lab's directory and survives a restart of its pod.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from backstop_lab.kube_api import ApiError, KubeApi, Object

NAMESPACE = "monitoring"
_NAME = "prometheus"
PORT = 9090
ADDRESS = "10.96.0.90"
PROMETHEUS_URL = f"http://{ADDRESS}:{PORT}"
_LABELS = {"app": _NAME}
_ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io_"


def scrape_config() -> Object:
    """Return the configuration of Prometheus."""
    relabel: list[dict[str, Any]] = [
        {"source_labels": [f"{_ANNOTATION}scrape"], "regex": "true", "action": "keep"},
        {
            "source_labels": ["__meta_kubernetes_pod_phase"],
            "regex": "Running",
            "action": "keep",
        },
        {
            "source_labels": ["__meta_kubernetes_pod_ip", f"{_ANNOTATION}port"],
            "separator": ":",
            "regex": "(.+:.+)",
            "target_label": "__address__",
        },
        {
            "source_labels": [f"{_ANNOTATION}path"],
            "regex": "(.+)",
            "target_label": "__metrics_path__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"source_labels": ["__meta_kubernetes_pod_label_app"], "target_label": "app"},
        # A pod with several ports is discovered several times; all become one target.
        {"regex": "__meta_kubernetes_pod_container_.*", "action": "labeldrop"},
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                "kubernetes_sd_configs": [{"role": "pod"}],
                "relabel_configs": relabel,
            }
        ],
    }


def manifests(data: Path) -> list[tuple[str, Object]]:
    """Return (path in the API, object) for all that Prometheus needs, in order of creation."""
    core = f"/api/v1/namespaces/{NAMESPACE}"
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    deployment = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{_NAME}"
    config = {"prometheus.yml": yaml.safe_dump(scrape_config())}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    subject = {"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": _NAME}
    service = {
        "selector": _LABELS,
        "clusterIP": ADDRESS,
        "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
    }
    return [
        (f"/api/v1/namespaces/{NAMESPACE}", _object("v1", "Namespace", name=NAMESPACE)),
        (f"{core}/serviceaccounts/{_NAME}", _object("v1", "ServiceAccount")),
        (f"{rbac}/clusterroles/{_NAME}", _object(f"{group}/v1", "ClusterRole", rules=rules)),
        (
            f"{rbac}/clusterrolebindings/{_NAME}",
            _object(f"{group}/v1", "ClusterRoleBinding", roleRef=role, subjects=[subject]),
        ),
        (f"{core}/configmaps/{_NAME}", _object("v1", "ConfigMap", data=config)),
        (f"{core}/services/{_NAME}", _object("v1", "Service", spec=service)),
        (deployment, _object("apps/v1", "Deployment", spec=_deployment_spec(data))),
    ]


async def install(api: KubeApi, data: Path) -> None:
    """Create Prometheus in the cluster. `data` is an existing directory for its time series."""
    for path, manifest in manifests(data):
        await api.apply(path, manifest)


async def is_ready(api: KubeApi) -> bool:
    """Return whether Prometheus answers on its Service's address."""
    try:
        async with asyncio.timeout(1), api.session.get(f"{PROMETHEUS_URL}/-/ready") as response:
            return response.ok
    except (aiohttp.ClientError, OSError, TimeoutError, ApiError):
        return False


def _object(version: str, kind: str, *, name: str = _NAME, **parts: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}


def _deployment_spec(data: Path) -> Object:
    container = {
        "name": _NAME,
        "image": _NAME,
        "command": [
            _NAME,
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=1d",
            # Killed without notice now and then; only one pod uses the directory (Recreate).
            "--storage.tsdb.no-lockfile",
            # The default of 5 s would keep a new pod unseen for so long.
            "--scrape.discovery-reload-interval=1s",
            f"--web.listen-address=$(POD_IP):{PORT}",
            "--log.level=warn",
        ],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/-/ready", "port": "http"},
            "periodSeconds": 1,
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus"},
            {"name": "data", "mountPath": "/prometheus"},
        ],
    }
    pod = {
        "serviceAccountName": _NAME,
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": _NAME}},
            {"name": "data", "hostPath": {"path": str(data)}},
        ],
    }
    return {
        "replicas": 1,
        "selector": {"matchLabels": _LABELS},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
    }
