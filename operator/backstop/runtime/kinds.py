"""Which kinds of workloads and routers this cluster knows, asked once at the start.

A kind that is installed later is read on demand until the operator starts anew.
"""

import asyncio
from collections.abc import Mapping

from backstop.adapters.traffic.registry import WATCHED as ROUTERS
from backstop.adapters.workloads.registry import WATCHED as WORKLOADS
from backstop.ports import KubeApi, NotFoundError
from backstop.runtime.watch import Resource


async def present(api: KubeApi, enabled: frozenset[str] | None = None) -> dict[str, Resource]:
    """Return the kinds that can be watched here; of those ``enabled``, where that is given.

    Raises:
        OutsideError: the API server did not answer.
    """
    known: Mapping[str, Resource] = {**WORKLOADS, **ROUTERS}
    wanted = {kind: one for kind, one in known.items() if enabled is None or kind in enabled}
    apis = {resource[:2] for resource in wanted.values()}
    found = dict(
        zip(apis, await asyncio.gather(*(_plurals(api, *one) for one in apis)), strict=True)
    )
    return {
        kind: (group, version, plural)
        for kind, (group, version, plural) in wanted.items()
        if plural in found[group, version]
    }


async def _plurals(api: KubeApi, group: str, version: str) -> frozenset[str]:
    try:
        answer = await api.get(f"/apis/{group}/{version}")
    except NotFoundError:
        return frozenset()
    return frozenset(one["name"] for one in answer.get("resources") or ())
