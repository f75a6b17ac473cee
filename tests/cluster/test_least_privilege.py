"""A verb that the role lacks is told by the monitor that needs it, and stops no other monitor."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.chart.helm import Helm
from tests.cluster import manifests
from tests.cluster.manifests import FALLBACK, TARGET, Object
from tests.cluster.release import NAME, Release, new_release
from tests.cluster.stage import Stage, condition, until

from backstop.core.needs import ROUTERS, TARGETS, Need

pytestmark = pytest.mark.cluster

NEEDS = sorted(TARGETS["Deployment"] | ROUTERS["HTTPRoute"])
BLIND = Need("backstop.dev", "modelmonitors", "list")
MUTE = Need("backstop.dev", "modelmonitors/status", "patch")


async def _watch(stage: Stage) -> None:
    """Create a monitor, and what it names, without any pod."""
    for name in (TARGET, FALLBACK):
        await stage.apply(manifests.service(name), manifests.deployment(name, replicas=0))
    await stage.apply(manifests.route(stage.host, {TARGET: 100, FALLBACK: 0}))
    await stage.watch()


async def _without(stage: Stage, missing: Need) -> None:
    """Take one verb out of the Role in the namespace."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.namespace}/roles/{NAME}"
    rules = [
        kept
        for rule in (await stage.api.get(path))["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if (kept := _kept(rule, group, resource, missing))["verbs"]
    ]
    await stage.api.patch(path, {"rules": rules})


def _kept(rule: Object, group: str, resource: str, missing: Need) -> Object:
    verbs = [verb for verb in rule["verbs"] if Need(group, resource, verb) != missing]
    return {**rule, "apiGroups": [group], "resources": [resource], "verbs": verbs}


def _is_told(stage: Stage, missing: Need) -> Callable[[], Awaitable[object]]:
    name = f"{missing.resource}.{missing.group}" if missing.group else missing.resource

    async def told() -> object:
        ready = condition(await stage.status(), "Ready")
        said = ready.get("message", "")
        expected = f"in namespace {stage.namespace}: {missing.verb} {name}. Grant"
        return ready.get("reason") == "Forbidden" and expected in said

    return told


def _is_ready(stage: Stage) -> Callable[[], Awaitable[object]]:
    async def ready() -> object:
        return condition(await stage.status(), "Ready").get("status") == "True"

    return ready


async def test_each_denied_verb_is_told_by_its_monitor_alone(
    new_stage: Callable[[], Awaitable[Stage]], tmp_path: Path
) -> None:
    """One namespace for each verb; with it given back, the condition goes without a restart."""
    stages = [await new_stage() for _ in range(len(NEEDS) + 3)]
    good, *poor, blind, mute = stages
    home = f"ops-{uuid.uuid4().hex[:8]}"
    watched = [one.namespace for one in stages]
    release = await new_release(good.api, home, Helm(tmp_path), watched)
    await asyncio.gather(*(_watch(one) for one in stages))
    values = {"replicas": 1, "standDown": {"enabled": False}}
    await release.install(**values)
    for stage in stages:
        await until("each monitor is ready", _is_ready(stage))

    # The verbs are taken away while the operator runs
    taken = zip((*poor, blind, mute), (*NEEDS, BLIND, MUTE), strict=True)
    await asyncio.gather(*(_without(stage, missing) for stage, missing in taken))
    for stage, missing in zip(poor, NEEDS, strict=True):
        await until(f"{missing} is told", _is_told(stage, missing))
    assert await _is_ready(good)()

    # A replica that begins without them begins all the same
    (before,) = await release.pods()
    await release.delete("Pod", before["metadata"]["name"])
    await until("another pod is ready", lambda: _is_replaced(release, before))
    for stage in (*poor, good, blind):
        await stage.change(interval="2s")
    for stage in (*poor, good):
        wanted = (await stage.get("ModelMonitor", "model"))["metadata"]["generation"]
        await stage.until_status(
            "monitors with and without all rights are looked at",
            lambda s, wanted=wanted: s["observedGeneration"] == wanted,
        )

    # Given back, they are noticed without a restart
    await release.upgrade(**values)
    for stage in stages:
        await until("the rights are noticed", _is_ready(stage))
    (pod,) = await release.pods()
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    await release.uninstall()


async def _is_replaced(release: Release, before: Object) -> bool:
    pods = await release.pods()
    ready = [one for one in pods if one["status"].get("containerStatuses", [{}])[0].get("ready")]
    return bool(ready) and before["metadata"]["uid"] not in {one["metadata"]["uid"] for one in pods}
