"""Two tenants and one Prometheus: a confined source tells each of them of its own metrics alone."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
from tests.cluster import manifests
from tests.cluster.stage import TARGET, Object, Stage, until
from tests.core.test_tenancy import ESCAPES

from backstop.core.promql import PromqlError, fence
from backstop_lab.kube_api import KubeApi

pytestmark = pytest.mark.cluster

PROMETHEUS = os.environ.get("LAB_PROMETHEUS_URL", "")


def confined(**more: Object) -> Object:
    """Return a configuration whose default source is confined."""
    return {"sources": {"default": {"url": PROMETHEUS, "tenantLabel": "namespace"}, **more}}


def expression(text: str) -> Object:
    return {
        "name": "requests",
        "pillar": "system",
        "window": "10s",
        "persistence": {"breaches": 1, "looks": 1},
        "threshold": {"promql": {"expr": text}, "max": "1e12"},
    }


def everything(namespace: str) -> list[Object]:
    """Return signals on all requests of a namespace: raw samples, an expression, a resource."""
    named = f'requests_total{{namespace="{namespace}"}}'
    queue = {"queue": {"gauge": named}, "max": "1e12"}
    return [
        manifests.errors_signal(
            name="errors",
            threshold={"errors": {"requests": named, "errors": named}, "max": "100%"},
        ),
        expression(f"sum(max_over_time({named}[10s])) or sum(max_over_time({named}[10s:1s]))"),
        {"name": "queue", "window": "10s", "resource": queue},
    ]


async def verdicts(stage: Stage, name: str) -> dict[str, str]:
    """Return the verdict on each signal, with its reason when it is Unknown."""

    async def judged() -> dict[str, str]:
        found = (await stage.status(name)).get("signals") or ()
        return {one["name"]: one["verdict"] + one.get("reason", "") for one in found}

    return await until(f"{name} is judged", judged, seconds=30)


async def test_a_monitor_reads_nothing_of_another_namespace(
    new_stage: Callable[[], Awaitable[Stage]],
) -> None:
    """Of another's metrics there is NoData, however they are named; one's own are read.

    That they can be read at all is shown by a source that is not confined.
    """
    ours, theirs = await new_stage(), await new_stage()
    for one in (ours, theirs):
        await one.serve({TARGET: 100})
    await ours.start(config=confined(open={"url": PROMETHEUS}))
    of_theirs = manifests.arm(theirs.namespace, TARGET)
    bare = {"name": TARGET, "service": TARGET, "metricLabels": {"app": TARGET}}
    quiet = {"mode": "Observe", "traffic": None, "fallback": None}
    await ours.watch(name="own", target=bare, **quiet)
    await ours.watch(name="labels", target=of_theirs, **quiet)
    await ours.watch(name="queries", target=bare, signals=everything(theirs.namespace), **quiet)
    await ours.watch(name="open", source="open", target=of_theirs, **quiet)
    for name in ("own", "open"):
        await ours.until_status("it is read", lambda s: s.get("verdict") == "Healthy", name=name)
    assert await verdicts(ours, "labels") == {"errors": "UnknownNoData"}
    assert await verdicts(ours, "queries") == {
        "errors": "UnknownNoData",
        "requests": "UnknownNoData",
        "queue": "UnknownNoData",
    }


async def test_prometheus_reads_a_confined_query_as_we_do(
    new_stage: Callable[[], Awaitable[Stage]],
) -> None:
    """Queries that try to escape are sent as they would be: no series of the other tenant comes."""
    theirs = await new_stage()
    await theirs.serve({TARGET: 100})
    api = theirs.api

    async def seen() -> bool:
        return theirs.namespace in str(await ask(api, "requests_total"))

    await until("Prometheus has scraped", seen, seconds=30)
    sent = 0
    for text in ESCAPES:
        escape = text.replace("secret", "requests_total").replace("theirs", theirs.namespace)
        try:
            query = fence(escape, "namespace", "ours")
        except PromqlError:
            continue
        answer = await ask(api, query)
        assert answer["status"] == "success", (query, answer)
        assert theirs.namespace not in str(answer), query
        sent += 1
    assert sent > len(ESCAPES) / 2


async def ask(api: KubeApi, query: str) -> Object:
    """Return the answer of the real Prometheus."""
    url = f"{PROMETHEUS}/api/v1/query"
    async with api.session.post(url, data={"query": query}) as response:
        answer: Object = await response.json()
        return answer
