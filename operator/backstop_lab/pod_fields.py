"""The fields of a pod that its environment and its volumes can refer to (the downward API)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backstop_lab.kube_api import Object

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """The pod refers to something that is missing; its text is shown in the pod's status."""


def field(pod: Object, path: str) -> str:
    """Return what a fieldRef names. Raises ConfigError for a field that the lab does not know."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript is not None:
        return str(metadata.get(subscript[1], {}).get(subscript[2], ""))
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _lines(metadata.get("labels", {})),
        "metadata.annotations": _lines(metadata.get("annotations", {})),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
    }
    if path not in known:
        raise ConfigError(f"the lab does not know fieldRef {path}")
    return str(known[path])


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f'{name}="{value}"' for name, value in sorted(pairs.items()))
