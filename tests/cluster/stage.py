"""What a test of the operator on the real cluster needs: a namespace, a service, load, replicas.

A replica that is started again after a SIGKILL gets another lease, unless the test is about leases:
nobody has to wait for the old one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import manifests, operator_process
from tests.cluster.api_proxy import ApiProxy
from tests.cluster.load import Load
from tests.cluster.manifests import CANDIDATE, FALLBACK, MONITOR, ROUTE, STORE, TARGET, Object
from tests.cluster.namespace import Namespace, remains, until
from tests.cluster.operator_process import Operator

from backstop_lab.kube_api import STRATEGIC


@dataclass(slots=True)
class Stage(Namespace):
    """One test's part of the cluster; `kinds` names the workloads that are no Deployments."""

    directory: Path
    stack: AsyncExitStack
    operators: list[Operator] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    load: Load = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.host)

    @property
    def host(self) -> str:
        """The host name of the route."""
        return f"{self.namespace}.test"

    def kind(self, name: str) -> str:
        """Return the kind of a workload."""
        return self.kinds.get(name, "Deployment")

    # The service and its traffic

    async def serve(
        self,
        weights: dict[str, int],
        *,
        replicas: int = 2,
        elsewhere: dict[str, int] | None = None,
        store: bool = False,
        env: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Bring up the service behind the gateway, with steady load; return when all are ready.

        The Services in `weights` are those of the route, each with a workload of its own, except
        those in `elsewhere` (with their ports). With `store` all but the fallback need the store;
        `env` holds further variables by name.
        """
        names = [name for name in weights if name not in (elsewhere or {})]
        needs = {"STORE": STORE} if store else {}
        if store:
            await self.apply(manifests.service(STORE), manifests.deployment(STORE))
        for name in names:
            count = replicas if name == TARGET else 1
            variables = {**({} if name == FALLBACK else needs), **(env or {}).get(name, {})}
            made = manifests.workload(self.kind(name), name, replicas=count, **variables)
            await self.apply(manifests.service(name), made)
        await self.apply(manifests.route(self.host, weights, elsewhere))
        for name in (*names, *([STORE] if store else [])):
            await self.until_rolled_out(name)
        await self.stack.enter_async_context(self.load)
        await until("the gateway answers", self._answered)

    async def _answered(self) -> bool:
        newest = self.load.answers[-5:]
        return len(newest) == 5 and all(one.status == 200 for one in newest)

    async def release(self, name: str = TARGET, **variables: str) -> Object:
        """Change the pod template's environment; return the workload as it is then."""
        env = [{"name": key, "value": value} for key, value in variables.items()]
        template = {"spec": {"containers": [{"name": "model", "env": env}]}}
        patch = {"spec": {"template": template}}
        return await self.api.patch(self.path(self.kind(name), name), patch, content=STRATEGIC)

    async def scale(self, name: str, replicas: int) -> None:
        """Change the number of replicas."""
        await self.api.patch(self.path(self.kind(name), name), {"spec": {"replicas": replicas}})

    async def post_to_pod(self, pod: Object, path: str) -> None:
        """Send an empty POST to the process in a pod."""
        address = pod["status"]["podIP"]
        async with self.api.session.post(f"http://{address}:{manifests.PORT}{path}") as response:
            response.raise_for_status()

    async def pods(self, app: str) -> list[Object]:
        """Return the running pods of a workload that are not being deleted."""
        return [
            pod
            for pod in await self.list("Pod")
            if pod["metadata"]["labels"].get("app") == app
            and "deletionTimestamp" not in pod["metadata"]
            and pod["status"].get("podIP")
        ]

    async def fault(self, rate: float, *names: str, what: str = "fault") -> None:
        """Make the running processes of these workloads answer errors at `rate`.

        With `what` set to `nulls`, that share of the values of a feature is missing instead.
        """
        pods = [pod for name in names for pod in await self.pods(name)]
        await asyncio.gather(*(self.post_to_pod(pod, f"/{what}?{rate}") for pod in pods))

    async def until_rolled_out(self, name: str) -> None:
        """Wait until all desired pods, and no others, run the newest template."""

        async def complete() -> bool:
            found = await self.get(self.kind(name), name)
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            counts = ("replicas", "updatedReplicas", "availableReplicas")
            return status.get("observedGeneration") == found["metadata"]["generation"] and all(
                status.get(count, 0) == wanted for count in counts
            )

        await until(f"{name} is rolled out", complete)

    async def generation(self, name: str = TARGET) -> int:
        """Return the generation of a workload: it grows with each change of its spec."""
        number: int = (await self.get(self.kind(name), name))["metadata"]["generation"]
        return number

    async def weights(self, rule: int = 0) -> dict[str, int]:
        """Return the weights of a rule of the route."""
        backends = (await self.get("HTTPRoute", ROUTE))["spec"]["rules"][rule]["backendRefs"]
        return {one["name"]: one["weight"] for one in backends}

    # The monitor and the operator

    async def start(
        self,
        *,
        source: str = "",
        lease: str = "",
        config: Object | None = None,
        shard: str = "0/1",
        health_port: int = 0,
    ) -> Operator:
        """Start a replica of the operator behind a proxy of its own; `config` is its file."""
        proxy = await self.stack.enter_async_context(ApiProxy(self.api))
        name = f"backstop-{len(self.operators)}"
        operator = await operator_process.start(
            proxy,
            namespace=self.namespace,
            source=source or os.environ["LAB_PROMETHEUS_URL"],
            lease=lease or name,
            directory=self.directory,
            name=name,
            config=config,
            shard=shard,
            health_port=health_port,
        )
        self.operators.append(operator)
        return operator

    async def watch(self, *, name: str = MONITOR, **spec: Any) -> None:
        """Create a monitor; see `manifests.monitor`."""
        await self.apply(manifests.monitor(self.namespace, name=name, **spec))

    async def change(self, name: str = MONITOR, **spec: Any) -> None:
        """Change fields of a monitor's spec."""
        await self.api.patch(self.path("ModelMonitor", name), {"spec": spec})

    async def status(self, name: str = MONITOR) -> Object:
        """Return the status of a monitor."""
        status: Object = (await self.get("ModelMonitor", name)).get("status", {})
        return status

    async def until_status(
        self,
        what: str,
        holds: Callable[[Object], object],
        *,
        seconds: float = 90,
        name: str = MONITOR,
    ) -> Object:
        """Return the first status of a monitor for which `holds` is true."""

        async def probe() -> Object | None:
            status = await self.status(name)
            seen.append(status)
            return status if holds(status) else None

        seen: list[Object] = []
        try:
            return await until(what, probe, seconds=seconds)
        except AssertionError:
            said = f"not within {seconds:.0f} s: {what}; status: {seen[-1]}"
            raise AssertionError(said) from None

    async def until_good(self) -> Object:
        """Wait until the current revision is recorded as good."""
        return await self.until_status(
            "the first revision is recorded as good",
            lambda s: s.get("verdict") == "Healthy" and s["revisions"].get("lastGood"),
            seconds=90,  # on a busy machine several operators start at once
        )

    async def until_circuit(self, phase: str) -> Object:
        """Wait for a phase of the circuit."""
        return await self.until_status(
            f"the circuit is {phase}", lambda s: s.get("circuit", {}).get("phase") == phase
        )

    async def until_resolved(self) -> Object:
        """Wait until the incident is resolved and its object says the same; return that object."""
        await self.until_status(
            "the incident is resolved", lambda s: (s.get("incident") or {}).get("resolved")
        )

        name = (await self.status())["incident"]["name"]

        async def shown() -> Object | None:
            found = await self.get("Incident", name) if await self.exists("Incident", name) else {}
            return found if found.get("status", {}).get("phase") == "Resolved" else None

        return await until("the Incident object is resolved", shown)

    async def incidents(self) -> list[Object]:
        """Return the Incident objects that have a status."""
        return [one for one in await self.list("Incident") if "status" in one]

    async def event_reasons(self) -> set[str]:
        """Return the reasons of all Events about monitors."""
        events = await self.list("Event")
        return {e["reason"] for e in events if e["regarding"]["kind"] == "ModelMonitor"}


def actions(incident: Object, step: str = "") -> list[Object]:
    """Return the actions of an incident (an object's status, or one in a monitor's)."""
    return [one for one in incident.get("actions", ()) if step in {"", one["step"]}]


def condition(status: Object, kind: str) -> Object:
    """Return a condition of a status; empty where it has none."""
    found = [one for one in status.get("conditions", ()) if one["type"] == kind]
    return found[0] if found else {}


__all__ = [
    "CANDIDATE",
    "FALLBACK",
    "MONITOR",
    "ROUTE",
    "STORE",
    "TARGET",
    "Object",
    "Operator",
    "Stage",
    "actions",
    "condition",
    "remains",
    "until",
]
