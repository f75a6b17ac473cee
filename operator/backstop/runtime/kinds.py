"""Which kinds of workloads and routers this cluster knows, asked once at the start.

A kind that is installed later is read on demand until the operator starts anew.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog

from backstop.adapters.traffic.registry import WATCHED as ROUTERS
from backstop.adapters.workloads.registry import WATCHED as WORKLOADS
from backstop.ports import KubeApi, NotFoundError, UnavailableError
from backstop.runtime.watch import Resource

_LOG = structlog.get_logger(__name__)

ASK_AGAIN: Final = 2.0
"""Seconds until an API server that did not answer is asked again."""


async def awaited(
    api: KubeApi, enabled: frozenset[str] | None, *, patience: float
) -> dict[str, Resource]:
    """Return what :func:`present` does, of an API server that may be away for ``patience`` seconds.

    Whoever ends instead is started again later and later, and not when the API server is back.

    Raises:
        OutsideError: it was away for longer, or refuses.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return await present(api, enabled)
        except UnavailableError as error:
            if time.monotonic() + ASK_AGAIN > until:
                raise
            _LOG.warning("the API server does not answer; asking again", error=str(error))
        await asyncio.sleep(ASK_AGAIN)


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
