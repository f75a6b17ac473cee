"""The cluster-wide kill switch: a ConfigMap that anyone with ``kubectl`` can turn on.

It is read afresh each time, so that it holds from the next write on. Whatever is not clearly off
counts as on, except that the ConfigMap need not exist.
"""

from typing import Final

from backstop.adapters.paths import namespaced
from backstop.adapters.text import one_line
from backstop.ports import KubeApi, NotFoundError, UnknownKindError

_ON: Final = frozenset({"true", "on", "yes", "1"})
_OFF: Final = frozenset({"false", "off", "no", "0"})
_REASON_LIMIT: Final = 300
_VALUE_LIMIT: Final = 40


class ConfigMapKillSwitch:
    """Implements :class:`backstop.ports.KillSwitch` by ``data.engaged`` and ``data.reason``."""

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        """Read the ConfigMap ``namespace/name`` through ``api``."""
        self._api = api
        self._path = namespaced("v1", namespace, "configmaps", name)
        self._name = f"{namespace}/{name}"

    async def engaged(self) -> str:
        """Return why all actions are stopped, "" when the switch is off or does not exist."""
        try:
            found = await self._api.get(self._path)
        except UnknownKindError:
            # Every cluster has ConfigMaps: something else answered in the API server's place.
            raise
        except NotFoundError:
            return ""
        data = found.get("data")
        data = data if isinstance(data, dict) else {}
        value = str(data.get("engaged", ""))
        word = value.strip().lower()
        if word in _OFF:
            return ""
        if word not in _ON:
            said = one_line(value, _VALUE_LIMIT)
            return (
                f"the kill switch {self._name} cannot be understood, so it counts as on:"
                f" engaged is {said!r}, write true or false"
            )
        reason = one_line(str(data.get("reason") or ""), _REASON_LIMIT)
        return reason or f"the kill switch {self._name} is on"
