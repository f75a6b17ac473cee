"""One case for each router: the objects it needs, and what a shift changes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backstop.core.facts import ObjectRef
from backstop.core.weights import Services

Json = dict[str, Any]
_NGINX = "nginx.ingress.kubernetes.io"


def service(name: str, app: str = "") -> Json:
    """Return a Service that selects the pods of an app."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "ml"}, "annotations": {"note": "kept"}},
        "spec": {"selector": {"app": app or name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def deployment(name: str, replicas: int) -> Json:
    """Return a Deployment of some pods that no node runs."""
    labels = {"app": name}
    container = {"name": "model", "image": "model:1", "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"team": "ml"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def grpc_route() -> Json:
    """Return a GRPCRoute with a rule that is not ours, and one that is."""
    match = {"method": {"service": "score.Model", "method": "Predict"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GRPCRoute",
        "metadata": {"name": "model", "annotations": {"note": "kept"}},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "default"}],
            "rules": [
                {"backendRefs": [{"name": "target", "port": 80}]},
                {
                    "matches": [match],
                    "backendRefs": [
                        {"name": "target", "port": 80, "weight": 100},
                        {"name": "next", "port": 80, "weight": 0},
                    ],
                },
            ],
        },
    }


def virtual_service() -> Json:
    """Return a VirtualService with routes that are not ours around one that is."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "model", "annotations": {"note": "kept"}},
        "spec": {
            "hosts": ["model.example.com"],
            "http": [
                {
                    "match": [{"uri": {"prefix": "/health"}}],
                    "route": [{"destination": {"host": "target"}}],
                },
                {
                    "timeout": "2s",
                    "retries": {"attempts": 2},
                    "route": [
                        {"destination": {"host": "target", "port": {"number": 80}}, "weight": 100},
                        {"destination": {"host": "next"}, "weight": 0},
                    ],
                },
            ],
        },
    }


def ingress(**annotations: str) -> Json:
    """Return a canary Ingress that leads to the candidate."""
    path = {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "next", "port": {"number": 80}}},
    }
    known = {f"{_NGINX}/canary": "true", f"{_NGINX}/canary-weight": "0", "note": "kept"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "model",
            "annotations": {**known, **{f"{_NGINX}/{k}": v for k, v in annotations.items()}},
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": "model.example.com", "http": {"paths": [path]}}],
        },
    }


@dataclass(frozen=True)
class Case:
    """A router in the API: its objects, the weights before and after a shift, and what changes.

    ``changed`` lists the paths that differ after the shift, by collection and name of the object.
    """

    kind: str
    objects: Callable[[], list[tuple[str, Json]]]
    shift: dict[str, int]
    changed: dict[tuple[str, str], set[str]]
    before: dict[str, int] = field(default_factory=lambda: {"target": 100, "next": 0})
    services: Services = field(default_factory=lambda: Services("target", "next", None))
    name: str = "model"
    crd: str = ""
    index: int = 0

    def ref(self, namespace: str) -> ObjectRef:
        """Return the router in a namespace."""
        return ObjectRef(self.kind, namespace, self.name)


_GATEWAY = "/apis/gateway.networking.k8s.io/v1"
_ISTIO = "/apis/networking.istio.io/v1"
_APPS = "/apis/apps/v1"
CASES = [
    Case(
        kind="GRPCRoute",
        objects=lambda: [(f"{_GATEWAY}|grpcroutes", grpc_route())],
        shift={"target": 75, "next": 25},
        changed={
            ("grpcroutes", "model"): {
                "spec.rules.1.backendRefs.0.weight",
                "spec.rules.1.backendRefs.1.weight",
            }
        },
        index=1,
    ),
    Case(
        kind="VirtualService",
        crd="virtualservices.networking.istio.io",
        objects=lambda: [(f"{_ISTIO}|virtualservices", virtual_service())],
        shift={"target": 75, "next": 25},
        changed={
            ("virtualservices", "model"): {
                "spec.http.1.route.0.weight",
                "spec.http.1.route.1.weight",
            }
        },
        index=1,
    ),
    Case(
        kind="Ingress",
        objects=lambda: [("/apis/networking.k8s.io/v1|ingresses", ingress())],
        shift={"target": 75, "next": 25},
        changed={("ingresses", "model"): {f"metadata.annotations.{_NGINX}/canary-weight"}},
    ),
    Case(
        kind="Service",
        objects=lambda: [
            ("/api/v1|services", service("model", "target")),
            ("/api/v1|services", service("target")),
            ("/api/v1|services", service("next")),
        ],
        before={"target": 1, "next": 0},
        shift={"target": 0, "next": 1},
        changed={("services", "model"): {"spec.selector.app"}},
    ),
    Case(
        kind="ReplicaRatio",
        name="target",
        objects=lambda: [
            (f"{_APPS}|deployments", deployment("target", 3)),
            (f"{_APPS}|deployments", deployment("next", 1)),
        ],
        before={"target": 3, "next": 1},
        shift={"target": 1, "next": 3},
        changed={
            ("deployments", "target"): {"spec.replicas"},
            ("deployments", "next"): {"spec.replicas"},
        },
    ),
]
