"""How each change of a workload is guarded and marked, whatever its kind.

Guarantees: the API server refuses the change when the workload is no longer as it was read, and the
id of the action arrives together with what the action changed, never without it.
"""

from collections.abc import Mapping
from typing import Any, Final

from backstop.core.facts import WorkloadFacts
from backstop.ports import ConflictError

ACTION_ID: Final = "backstop.dev/action-id"
"""Annotation on the workload: which action of ours changed it last."""

Operation = dict[str, Any]
"""One operation of a JSON patch."""


def last_action(metadata: Mapping[str, Any]) -> str:
    """Return the id of the last action of ours on the object, empty where there was none."""
    return str((metadata.get("annotations") or {}).get(ACTION_ID, ""))


def pointer(*names: str) -> str:
    """Return the JSON pointer to a field; ``/`` and ``~`` in a name are escaped."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def json_patch(
    metadata: Mapping[str, Any], action_id: str, *operations: Operation
) -> list[Operation]:
    """Return a JSON patch: the object is as ``metadata`` says, ``operations``, and our mark."""
    if metadata.get("annotations"):
        place, value = pointer("metadata", "annotations", ACTION_ID), action_id
        mark: Operation = {"op": "add", "path": place, "value": value}
    else:
        mark = {"op": "add", "path": "/metadata/annotations", "value": {ACTION_ID: action_id}}
    version = metadata["resourceVersion"]
    guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    return [guard, *operations, mark]


def merge_patch(facts: WorkloadFacts, action_id: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON merge patch of ``spec`` with the same guard and mark.

    For single fields of maps, which it makes where they are missing; it cannot replace a map.
    """
    metadata = {
        "resourceVersion": facts.resource_version,
        "annotations": {ACTION_ID: action_id},
    }
    return {"metadata": metadata, "spec": dict(spec)}


def require_unchanged(facts: WorkloadFacts, body: Mapping[str, Any]) -> None:
    """Raise ConflictError where ``body``, read just now, is another version than ``facts``."""
    if body["metadata"]["resourceVersion"] != facts.resource_version:
        raise ConflictError(f"{facts.ref} changed since it was read")
