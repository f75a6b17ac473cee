"""Says what a pod's status is, from the states of its containers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from backstop_lab.container import ContainerState
from backstop_lab.kube_api import Object
from backstop_lab.network import NODE_ADDRESS


def pod_status(
    previous: Object,
    containers: Sequence[ContainerState],
    init_containers: Sequence[ContainerState],
    *,
    address: str,
    restart_policy: str,
    stopped: bool,
    time: str,
) -> Object:
    """Return the status to write. `previous` keeps the times of conditions that did not change.

    `stopped` says that the pod was asked to end and all its processes have ended.
    """
    phase = _phase(containers, init_containers, restart_policy, stopped=stopped)
    initialized = all(state.terminated_code == 0 for state in init_containers)
    ready = bool(containers) and all(state.ready for state in containers)
    over = phase in ("Succeeded", "Failed")
    values = {
        "PodReadyToStartContainers": "False" if over else "True",
        "Initialized": "True" if initialized else "False",
        "ContainersReady": "True" if ready else "False",
        "Ready": "True" if ready else "False",
    }
    reason = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
    known = {condition["type"]: condition for condition in previous.get("conditions", ())}
    status: Object = {
        "phase": phase,
        "conditions": [
            _condition(known.get(kind, {}), kind, value, reason, time)
            for kind, value in values.items()
        ],
        "hostIP": NODE_ADDRESS,
        "hostIPs": [{"ip": NODE_ADDRESS}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": previous.get("startTime", time),
        "containerStatuses": [_container_status(state) for state in containers],
    }
    if init_containers:
        status["initContainerStatuses"] = [_container_status(state) for state in init_containers]
    return status


def _phase(
    containers: Sequence[ContainerState],
    init_containers: Sequence[ContainerState],
    restart_policy: str,
    *,
    stopped: bool,
) -> str:
    codes = [state.terminated_code for state in containers]
    if any(state.terminated_code for state in init_containers) and restart_policy == "Never":
        return "Failed"
    if stopped:
        return "Succeeded" if all(code == 0 for code in codes) else "Failed"
    ended = all(code is not None for code in codes)
    if ended and restart_policy == "Never":
        return "Succeeded" if not any(codes) else "Failed"
    if ended and restart_policy == "OnFailure" and not any(codes):
        return "Succeeded"
    was_started = any(
        "running" in state.state or state.last_state or "terminated" in state.state
        for state in containers
    )
    return "Running" if was_started else "Pending"


def _condition(known: Object, kind: str, status: str, reason: str, time: str) -> Object:
    unchanged = known.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": None if status == "True" else reason,
        "lastTransitionTime": known["lastTransitionTime"] if unchanged else time,
    }


def _container_status(state: ContainerState) -> Object:
    image = state.spec.get("image", "")
    return {
        "name": state.spec["name"],
        "image": image,
        "imageID": image,
        "containerID": f"process://{state.spec['name']}-{state.restarts}",
        "state": state.state,
        "lastState": state.last_state,
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
    }
