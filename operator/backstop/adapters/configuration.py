"""When ConfigMaps and Secrets changed, told by their metadata alone.

Guarantees: the contents are never asked for. The time is that of the newest write by a field
manager that set data; a manager that wrote something else of the object in that same write, or
later, moves it too, so that it errs towards a change.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.core.facts import ConfigurationChange, ObjectRef
from backstop.ports import ForbiddenError, KubeApi, NotFoundError

_PLURALS: Final = {"ConfigMap": "configmaps", "Secret": "secrets"}
_DATA: Final = ("f:data", "f:binaryData", "f:stringData")
_CREATION_SECONDS: Final = 2.0
"""Times have whole seconds, so that a write this soon after the creation may be part of it."""


class ConfigurationChanges:
    """Implements :class:`backstop.ports.Configuration`."""

    def __init__(self, api: KubeApi, *, secrets: bool = True) -> None:
        """Work through ``api``; Secrets are left out unless ``secrets``."""
        self._api = api
        self._secrets = secrets

    async def changes(self, refs: Sequence[ObjectRef]) -> tuple[ConfigurationChange, ...]:
        """Return the last change of the data of each; what is gone or forbidden is left out."""
        found = await asyncio.gather(*(self._change(ref) for ref in refs))
        return tuple(one for one in found if one is not None)

    async def _change(self, ref: ObjectRef) -> ConfigurationChange | None:
        plural = _PLURALS.get(ref.kind)
        if plural is None or (ref.kind == "Secret" and not self._secrets):
            return None
        try:
            metadata = await self._api.metadata(namespaced("v1", ref.namespace, plural, ref.name))
        except (NotFoundError, ForbiddenError):
            return None
        return last_change(ref, metadata)


def last_change(ref: ObjectRef, metadata: Mapping[str, Any]) -> ConfigurationChange:
    """Return what ``metadata`` of ``ref`` tells; ``changed`` is ``None`` where nothing does."""
    latest = max(_writes(metadata), default=None)
    if latest is None or "creationTimestamp" not in metadata:
        return ConfigurationChange(ref, None)
    changed, manager = latest
    if changed <= _unix(metadata["creationTimestamp"]) + _CREATION_SECONDS:
        return ConfigurationChange(ref, None)
    return ConfigurationChange(ref, changed, manager)


def _writes(metadata: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """Yield time and manager of the writes of data."""
    for entry in metadata.get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        wrote_data = any(name in fields for name in _DATA)
        if wrote_data and entry.get("time") and not entry.get("subresource"):
            yield _unix(entry["time"]), str(entry.get("manager") or "")


def _unix(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
