"""The node: registers itself, and runs the pods that the scheduler binds to it as processes.

Takes the kubelet's place, as far as controllers and users of the API can see: status, probes,
restarts, graceful deletion. It does not serve `kubectl logs`, `exec` or `port-forward`; the output
of each container is in a file below `pods/` of the lab's directory. Images are ignored, so every
container needs a `command`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging

import aiohttp

from backstop_lab.container import now
from backstop_lab.kube_api import STRATEGIC, ApiError, Cache, Object
from backstop_lab.network import NODE_ADDRESS
from backstop_lab.pod import PodHost, PodWorker

log = logging.getLogger(__name__)

NODE_NAME = "lab"
_LEASE_SECONDS = 40
_RENEW_SECONDS = 10
_CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "100Gi"}
_FIRST_POD, _LAST_POD = 256, 65_000


class Node:
    """The only node of the cluster. `run` serves it until cancelled."""

    def __init__(self, host: PodHost) -> None:
        self._host = host
        self._workers: dict[str, PodWorker] = {}
        self._uids: dict[str, str] = {}
        self._next_address = _FIRST_POD
        fields = f"spec.nodeName={NODE_NAME}"
        self._pods = Cache(host.api, "/api/v1/pods", self._pod_changed, fields=fields)

    async def register(self) -> None:
        """Create the Node, ready, with its capacity."""
        node = _node()
        path = "/api/v1/nodes"
        with contextlib.suppress(ApiError):
            await self._host.api.create(path, node)
        status = {"status": node["status"]}
        await self._host.api.patch(f"{path}/{NODE_NAME}/status", status, content=STRATEGIC)

    async def run(self) -> None:
        """Renew the lease and follow the pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._renew_lease())

    def _pod_changed(self, key: str) -> None:
        pod = self._pods.objects.get(key)
        uid = pod["metadata"]["uid"] if pod is not None else None
        former = self._uids.get(key)
        if former is not None and former != uid:
            self._workers.pop(former).kill()
            del self._uids[key]
        if pod is None or uid is None:
            return
        if uid not in self._workers:
            if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                return
            self._uids[key] = uid
            self._workers[uid] = PodWorker(pod, self._take_address(), self._host)
        self._workers[uid].update(pod)

    def _take_address(self) -> str:
        """Return the next address of the range; one is used again only after tens of thousands."""
        number = self._next_address
        self._next_address = number + 1 if number < _LAST_POD else _FIRST_POD
        return f"10.244.{number // 256}.{number % 256}" if number % 256 else self._take_address()

    async def _renew_lease(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE_NAME}"
        while True:
            renewed = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            lease: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": NODE_NAME, "namespace": "kube-node-lease"},
                "spec": {
                    "holderIdentity": NODE_NAME,
                    "leaseDurationSeconds": _LEASE_SECONDS,
                    "renewTime": renewed,
                },
            }
            pause = float(_RENEW_SECONDS)
            try:
                await self._host.api.apply(path, lease)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.debug("renewing the lease again: %s", error)
                pause = 1.0
            await asyncio.sleep(pause)


def _node() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "labels": {
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": {
            "capacity": _CAPACITY,
            "allocatable": _CAPACITY,
            "addresses": [
                {"type": "InternalIP", "address": NODE_ADDRESS},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "NodeReady",
                    "message": "pods run as local processes",
                    "lastHeartbeatTime": now(),
                    "lastTransitionTime": now(),
                }
            ],
            "nodeInfo": _node_info(),
        },
    }


def _node_info() -> Object:
    empty = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion"), ""
    )
    return {
        **empty,
        "containerRuntimeVersion": "process://1",
        "kubeletVersion": "backstop-lab",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
