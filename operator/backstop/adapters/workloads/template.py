"""What a pod template tells, whichever workload it stands in.

A restart writes an annotation into the template. The pods that it makes are of the same revision,
so that annotation is no part of a fingerprint.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from backstop.core.facts import ObjectRef

RESTARTED_BY: Final = "backstop.dev/restarted-by"
"""Annotation in the template: which action of ours replaced all pods last."""

_RESTARTS: Final = frozenset({RESTARTED_BY, "kubectl.kubernetes.io/restartedAt"})
_TEMPLATE_HASHES: Final = frozenset({"pod-template-hash", "rollouts-pod-template-hash"})
_FINGERPRINT_DIGITS: Final = 16


def pod_template(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template of a workload or ReplicaSet, fit to be written into a workload.

    The label that a controller (of Deployments, of Rollouts) adds for each ReplicaSet is taken off,
    and so is the empty creation time that older API servers write.
    """
    template = dict(owner["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    if "labels" in metadata:
        metadata["labels"] = {
            name: value
            for name, value in metadata["labels"].items()
            if name not in _TEMPLATE_HASHES
        }
    if metadata.get("creationTimestamp", "") is None:
        del metadata["creationTimestamp"]
    template["metadata"] = metadata
    return template


def template_fingerprint(template: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that are equal for equal templates of :func:`pod_template`.

    Templates that differ by a restart alone are equal.
    """
    canonical = json.dumps(
        _without_restarts(template), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def restarted(action_id: str) -> dict[str, Any]:
    """Return the change of a spec, as a merge patch, that replaces all pods."""
    return {"template": {"metadata": {"annotations": {RESTARTED_BY: action_id}}}}


def adopted(own: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return template ``own`` with the spec and the annotations of template ``source``.

    The labels stay, since the selector needs them; restarts of the source are left behind.
    """
    metadata = dict(own.get("metadata") or {})
    annotations = (_without_restarts(source).get("metadata") or {}).get("annotations")
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": source["spec"]}


def images(template: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the image of each container, by its name."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return MappingProxyType({one["name"]: one.get("image", "") for one in containers})


def last_written(metadata: Mapping[str, Any]) -> datetime | None:
    """Return when a field manager that set something of the template wrote last.

    It may have written other fields then, so that the template is no newer than this.
    """
    times = [
        datetime.fromisoformat(entry["time"])
        for entry in metadata.get("managedFields") or ()
        if entry.get("time")
        and not entry.get("subresource")
        and "f:template" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(times, default=None)


def _without_restarts(template: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = template.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if not _RESTARTS & annotations.keys():
        return template
    kept = {name: value for name, value in annotations.items() if name not in _RESTARTS}
    rest = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**template, "metadata": {**rest, "annotations": kept} if kept else rest}


def configuration(namespace: str, template: Mapping[str, Any]) -> tuple[ObjectRef, ...]:
    """Return the ConfigMaps and Secrets that pods of ``template`` read, in order of appearance."""
    found = (ObjectRef(kind, namespace, name) for kind, name in _references(template))
    return tuple(dict.fromkeys(found))


def _references(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec = template.get("spec") or {}
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_volume(source)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for source in container.get("envFrom") or ():
            yield from _named(source, "configMapRef", "secretRef")
        for variable in container.get("env") or ():
            yield from _named(variable.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")


def _of_volume(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _named(source, "configMap", "secret")
    secret = (source.get("secret") or {}).get("secretName")
    if secret:
        yield "Secret", secret


def _named(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[tuple[str, str]]:
    for field, kind in ((config_map, "ConfigMap"), (secret, "Secret")):
        name = (source.get(field) or {}).get("name")
        if name:
            yield kind, name
