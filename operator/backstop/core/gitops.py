"""Who else writes an object: the GitOps tool that owns it, and the last field manager.

Read from what the tools leave in the metadata; both are empty where nothing tells.
"""

from collections.abc import Mapping
from typing import Any, Final

OURS: Final = "backstop"
"""The field manager of all our own writes."""

_ANNOTATIONS: Final = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
}
_LABELS: Final = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MANAGERS: Final = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def owner(metadata: Mapping[str, Any]) -> str:
    """Return ``Argo CD`` or ``Flux`` where one of them applies the object, else an empty text."""
    for known, found in (
        (_ANNOTATIONS, metadata.get("annotations") or {}),
        (_LABELS, metadata.get("labels") or {}),
    ):
        for key, tool in known.items():
            if key in found:
                return tool
    managers = (entry.get("manager", "") for entry in _entries(metadata))
    return next((_MANAGERS[name] for name in managers if name in _MANAGERS), "")


def last_manager(metadata: Mapping[str, Any]) -> str:
    """Return the field manager, other than Backstop, that wrote the object last.

    Writes to subresources, such as the status, do not count.
    """
    others = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in _entries(metadata)
        if entry.get("manager") != OURS and not entry.get("subresource")
    ]
    return max(others)[1] if others else ""


def _entries(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(metadata.get("managedFields") or ())
