"""Running the responder that gives a default prediction: a Deployment and a Service.

Both are owned by the monitor, so Kubernetes removes them with it. They are applied server-side and
only when the wanted answer changes, or when one of them is gone: a fallback that somebody deleted
would be missed in the incident only.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.conditions import ConditionType, Reason
from backstop.api.modelmonitor import DefaultPrediction, Mode
from backstop.core.conditions import Problem
from backstop.core.view import default_prediction_service
from backstop.ports import ForbiddenError, KubeApi, NotFoundError, OutsideError
from backstop.runtime.record import Record

PORT = 8080
_APP = "app.kubernetes.io/instance"

LOOK_EVERY: Final = 60.0
"""Seconds after which it is looked whether a responder is still there."""

FORGOTTEN: Final = 3600.0
"""Seconds after which one that nobody wants any more is dropped from memory."""


class _Applied(NamedTuple):
    """The answer that a responder gives, and when (monotonic) it was last seen to be there."""

    wanted: str
    seen: float


@dataclass(slots=True)
class DefaultPredictions:
    """Keeps the responder of each monitor as its spec wants it; ``now`` is for tests."""

    api: KubeApi
    image: str
    now: Callable[[], float] = time.monotonic
    _applied: dict[str, _Applied] = field(default_factory=dict)
    _tidied: float = 0.0

    async def ensure(self, record: Record) -> list[Problem]:
        """Apply the responder of ``record`` if it wants one and it changed or is gone."""
        fallback = record.spec.fallback if record.spec else None
        answer = fallback.default_prediction if fallback else None
        if answer is None or record.spec is None or record.spec.mode is Mode.OBSERVE:
            return []
        wanted = hashlib.sha256(answer.model_dump_json().encode()).hexdigest()[:16]
        name = default_prediction_service(record.name)
        paths = _paths(record.namespace, name)
        if await self._is_there(record.uid, wanted, paths):
            return []
        try:
            await self.api.apply(paths[0], self._deployment(record, name, answer))
            await self.api.apply(paths[1], _service(record, name))
        except OutsideError as error:
            reason = (
                Reason.FORBIDDEN if isinstance(error, ForbiddenError) else Reason.API_UNAVAILABLE
            )
            said = f"the responder {name} could not be applied: {error}"
            return [Problem(ConditionType.ROUTE_READY, reason, said)]
        self._saw(record.uid, wanted)
        return []

    async def _is_there(self, uid: str, wanted: str, paths: tuple[str, str]) -> bool:
        applied = self._applied.get(uid)
        if applied is None or applied.wanted != wanted:
            return False
        if self.now() < applied.seen + LOOK_EVERY:
            return True
        try:
            await asyncio.gather(*(self.api.metadata(path) for path in paths))
        except NotFoundError:
            return False
        except OutsideError:
            return True  # it cannot be told; what needs it finds out
        self._saw(uid, wanted)
        return True

    def _saw(self, uid: str, wanted: str) -> None:
        now = self.now()
        self._applied[uid] = _Applied(wanted, now)
        if now >= self._tidied + FORGOTTEN:
            kept = {key: one for key, one in self._applied.items() if now < one.seen + FORGOTTEN}
            self._applied, self._tidied = kept, now

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


def _paths(namespace: str, name: str) -> tuple[str, str]:
    return (
        namespaced("apps/v1", namespace, "deployments", name),
        namespaced("v1", namespace, "services", name),
    )


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
