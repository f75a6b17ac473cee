"""Sets of values that people use: the chart must do for each."""

from typing import Any, Final

SOURCE: Final = {"default": {"url": "https://prometheus.example.com/api"}}

TENANTS: Final[dict[str, Any]] = {
    "scope": "namespaces",
    "namespaces": ["team-a", "team-b"],
    "sources": {
        "default": {
            "url": "https://mimir.example.com/prometheus",
            "timeout": "3s",
            "headers": {"X-Scope-OrgID": "ml"},
            "tenantLabel": "namespace",
            "bearerToken": {"secret": "mimir", "key": "token"},
            "ca": {"configMap": "mimir-ca", "key": "ca.crt"},
        }
    },
    "admissionPolicy": {"enabled": True},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
    "permissions": {"jobs": False, "defaultPredictions": False, "configMapChanges": False},
}

EVERYTHING: Final[dict[str, Any]] = {
    "sources": {
        "default": {"url": "http://prometheus.monitoring:9090"},
        "business": {
            "url": "https://thanos.example.com",
            "ca": {"secret": "thanos-ca", "key": "ca.crt"},
        },
    },
    "targets": ["Deployment", "StatefulSet", "InferenceService", "Rollout", "Canary"],
    "routers": [
        "HTTPRoute",
        "GRPCRoute",
        "VirtualService",
        "Ingress",
        "Service",
        "ReplicaRatio",
        "InferenceService",
    ],
    "permissions": {"secretChanges": True},
    "webhooks": {
        "allowedHosts": ["*.hooks.example.com", "retrain.ml.svc:8080"],
        "signingKey": {"secret": "signing", "key": "webhooks"},
    },
    "notifications": {
        "url": "https://alerts.example.com/backstop",
        "pageOnly": True,
        "signingKey": {"secret": "signing", "key": "notifications"},
    },
    "shards": 3,
    "replicas": 2,
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True},
    "admissionPolicy": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "podAnnotations": {"team": "platform"},
    "podLabels": {"team": "platform"},
    "image": {"repository": "registry.example.com/backstop", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/certificates/ca.crt"}],
    "extraVolumes": [{"name": "certificates", "configMap": {"name": "certificates"}}],
    "extraVolumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
    "crds": {"keep": False},
}

BARE: Final[dict[str, Any]] = {
    "replicas": 1,
    "crds": {"enabled": False},
    "rbac": {"create": False, "aggregate": False},
    "serviceAccount": {"create": False, "name": "given"},
    "standDown": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "routers": [],
}

SETS: Final[dict[str, dict[str, Any]]] = {
    "defaults": {},
    "tenants": TENANTS,
    "everything": EVERYTHING,
    "bare": BARE,
}
