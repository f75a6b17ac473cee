"""Running the responder that gives a default prediction: a Deployment and a Service.

Both are owned by the monitor, so Kubernetes removes them with it. They are applied server-side and
only when the wanted answer changes.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.conditions import ConditionType, Reason
from backstop.api.modelmonitor import DefaultPrediction, Mode
from backstop.core.conditions import Problem
from backstop.core.view import default_prediction_service
from backstop.ports import ForbiddenError, KubeApi, OutsideError
from backstop.runtime.record import Record

PORT = 8080
_APP = "app.kubernetes.io/instance"


@dataclass(slots=True)
class DefaultPredictions:
    """Keeps the responder of each monitor as its spec wants it."""

    api: KubeApi
    image: str
    _applied: dict[str, str] = field(default_factory=dict)

    async def ensure(self, record: Record) -> list[Problem]:
        """Apply the responder of ``record`` if it wants one and it changed."""
        fallback = record.spec.fallback if record.spec else None
        answer = fallback.default_prediction if fallback else None
        if answer is None or record.spec is None or record.spec.mode is Mode.OBSERVE:
            return []
        wanted = hashlib.sha256(answer.model_dump_json().encode()).hexdigest()[:16]
        if self._applied.get(record.uid) == wanted:
            return []
        name = default_prediction_service(record.name)
        try:
            await self.api.apply(
                namespaced("apps/v1", record.namespace, "deployments", name),
                self._deployment(record, name, answer),
            )
            await self.api.apply(
                namespaced("v1", record.namespace, "services", name), _service(record, name)
            )
        except OutsideError as error:
            reason = (
                Reason.FORBIDDEN if isinstance(error, ForbiddenError) else Reason.API_UNAVAILABLE
            )
            said = f"the responder {name} could not be applied: {error}"
            return [Problem(ConditionType.ROUTE_READY, reason, said)]
        self._applied[record.uid] = wanted
        return []

    def _deployment(self, record: Record, name: str, answer: DefaultPrediction) -> dict[str, Any]:
        labels = {_APP: name}
        container = {
            "name": "responder",
            "image": self.image,
            "command": ["python3", "-m", "backstop", "respond"],
            "ports": [{"containerPort": PORT, "name": "http"}],
            "env": [
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "BACKSTOP_ANSWER", "value": json.dumps(answer.to_json())},
            ],
            "readinessProbe": {
                "httpGet": {"path": "/backstop/healthz", "port": PORT},
                "periodSeconds": 2,
            },
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(record, name),
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container], "automountServiceAccountToken": False},
                },
            },
        }


def _service(record: Record, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(record, name),
        "spec": {
            "selector": {_APP: name},
            "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
        },
    }


def _metadata(record: Record, name: str) -> dict[str, Any]:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "ModelMonitor",
        "name": record.name,
        "uid": record.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": record.namespace,
        "labels": {_APP: name, "app.kubernetes.io/managed-by": "backstop"},
        "ownerReferences": [owner],
    }
