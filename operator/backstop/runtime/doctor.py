"""Is this installation able to do its work? Each finding is one sentence, with what to change.

Asks what the operator itself would ask, with its configuration and its credentials, and stores
nothing.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.crd import KINDS
from backstop.core.needs import ROUTERS, TARGETS, Need, say
from backstop.ports import MetricsSource, NotFoundError, OutsideError
from backstop.runtime.config import OperatorConfig
from backstop.runtime.rights import Rights

_TRIAL: Final[dict[str, Any]] = {
    "apiVersion": API_VERSION,
    "kind": "ModelMonitor",
    "metadata": {"name": "doctor"},
    "spec": {
        "target": {"name": "doctor", "service": "doctor", "metricLabels": {"app": "doctor"}},
        "traffic": {"httpRoute": "doctor"},
        "fallback": {"service": "doctor-fallback"},
        "preset": "backstop",
        "signals": [{"name": "errors", "threshold": {"errors": {}, "max": "5%"}}],
        "runbook": {"release": [{"name": "back", "rollback": {}}]},
        "maintenance": [],
    },
}
_PATIENCE: Final = 10.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what is wrong with it; ``""`` where nothing is."""

    subject: str
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at an installation.

    ``namespaces`` are those that are watched, all where empty. ``url`` is where the operator
    answers, ``""`` to leave that out; ``trial_in`` a namespace in which a monitor may be tried.
    """

    api: KubernetesApi
    config: OperatorConfig
    sources: dict[str, MetricsSource]
    namespaces: tuple[str, ...]
    home: str
    leases: tuple[str, ...]
    url: str = ""
    trial_in: str = ""

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what was found, one after another."""
        yield await self._definitions()
        if self.trial_in:
            yield await self._accepts()
        for one in await self._rights():
            yield one
        for lease in self.leases:
            yield await self._leader(lease)
        for name, source in self.sources.items():
            yield await _answers(name, source)
        if self.url:
            yield await self._ready()

    async def _definitions(self) -> Finding:
        subject = "definitions"
        try:
            answer = await self.api.get(f"/apis/{API_VERSION}")
        except NotFoundError:
            return Finding(subject, "the cluster knows none of Backstop's kinds: apply crds/")
        except OutsideError as error:
            return Finding(subject, str(error))
        known = {one["name"] for one in answer.get("resources") or ()}
        missing = sorted(kind.plural for kind in KINDS if kind.plural not in known)
        if missing:
            return Finding(subject, f"{', '.join(missing)} not installed: apply crds/ anew")
        return Finding(subject, note=f"{', '.join(kind.name for kind in KINDS)} are served")

    async def _accepts(self) -> Finding:
        subject = "a monitor"
        path = namespaced(API_VERSION, self.trial_in, "modelmonitors")
        try:
            await self.api.would_create(path, _TRIAL)
        except OutsideError as error:
            older = "the definitions are older than this Backstop: apply its crds/"
            hint = f"; {older}" if "unknown field" in str(error) else ""
            return Finding(subject, f"{error}{hint}")
        return Finding(subject, note="would be accepted; nothing was stored")

    async def _rights(self) -> list[Finding]:
        rights = Rights(self.api, self.namespaces)
        await rights.refresh()
        wanted: set[Need] = set()
        for target in self.config.targets:
            wanted |= TARGETS[target]
        for router in self.config.routers:
            wanted |= ROUTERS[router]
        found: list[Finding] = []
        for namespace in self.namespaces or ("",):
            missing = rights.denied(namespace) & wanted
            where = namespace or "all namespaces"
            note = "all that the enabled kinds need"
            if rights.is_partial(namespace):
                note = "not known: the API server lists only a part of them"
            problem = rights.failure(namespace) or say(missing, where)
            found.append(Finding(f"rights in {where}", problem, note))
        return found

    async def _leader(self, name: str) -> Finding:
        subject = f"lease {self.home}/{name}"
        path = namespaced("coordination.k8s.io/v1", self.home, "leases", name)
        try:
            lease = await self.api.get(path)
        except NotFoundError:
            said = "does not exist: no replica has begun to act yet"
            return Finding(subject, f"{said}, or --lease-namespace names another place")
        except OutsideError as error:
            return Finding(subject, str(error))
        holder = lease.get("spec", {}).get("holderIdentity") or ""
        if not holder:
            return Finding(subject, "is held by nobody: no replica acts")
        return Finding(subject, note=f"is held by {holder}")

    async def _ready(self) -> Finding:
        subject, address = "operator", f"{self.url.rstrip('/')}/readyz"
        patience = aiohttp.ClientTimeout(total=_PATIENCE)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.get(address, allow_redirects=False) as response,
            ):
                if response.status == _OK:
                    return Finding(subject, note="is ready")
                return Finding(subject, f"{address} answers {response.status}: see its log")
        except (aiohttp.ClientError, TimeoutError) as error:
            said = str(error) or f"no answer within {_PATIENCE:.0f} s"
            return Finding(subject, f"{address}: {said}")


async def _answers(name: str, source: MetricsSource) -> Finding:
    subject = f"source {name}"
    reading = next(iter((await source.read(["vector(1)"])).values()))
    if reading.failure:
        return Finding(subject, reading.failure)
    return Finding(subject, note="answers")
