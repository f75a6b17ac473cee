"""Each router on the real API server with its real definition: one guarded write, nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.adapters.real import Json, eventually, undisturbed, without_bookkeeping
from tests.adapters.router_cases import CASES, Case, ingress

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic.registry import Routers
from backstop.core.facts import ObjectRef, RouteFacts
from backstop.core.weights import Services, open_circuit
from backstop.ports import ConflictError, NotFoundError, UnavailableError, UnknownKindError

pytestmark = pytest.mark.cluster

Install = Callable[[str], Awaitable[None]]
each_router = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)


async def created(
    case: Case, api: KubernetesApi, namespace: str, install: Install
) -> dict[tuple[str, str], str]:
    """Create the objects of a case; return their paths."""
    if case.crd:
        await install(case.crd)
    paths = {}
    for place, body in case.objects():
        prefix, plural = place.split("|")
        collection = f"{prefix}/namespaces/{namespace}/{plural}"
        await api.create(collection, body)
        name = body["metadata"]["name"]
        paths[plural, name] = f"{collection}/{name}"
    await at_rest(api, paths)
    return paths


async def at_rest(api: KubernetesApi, paths: dict[tuple[str, str], str]) -> None:
    """Wait until the Deployment controller has nothing more to say of what it was asked for."""

    async def observed() -> bool:
        bodies = [
            await api.get(path) for (plural, _), path in paths.items() if plural == "deployments"
        ]
        return all(
            body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]
            and body["status"].get("replicas", 0) == body["spec"]["replicas"]
            and body["status"].get("unavailableReplicas", 0) == body["spec"]["replicas"]
            for body in bodies
        )

    await eventually(observed)


async def shifted(
    routers: Routers, case: Case, ref: ObjectRef, to: Mapping[str, int]
) -> RouteFacts:
    """Write weights on fresh facts; return what is there then."""

    async def shift() -> RouteFacts:
        facts = await routers.read(ref, case.services)
        return await routers.write(facts, {case.index: to})

    return await undisturbed(shift)


async def seen(
    api: KubernetesApi, paths: dict[tuple[str, str], str]
) -> dict[tuple[str, str], Json]:
    """Return what a person wrote of each object, as it is now."""
    found = {key: without_bookkeeping(await api.get(path)) for key, path in paths.items()}
    for body in found.values():
        # The Deployment controller notes its revision, whoever scales.
        body["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    return found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}.{place}")
    elif one != other:
        yield path


@each_router
async def test_a_shift_changes_the_split_and_nothing_else(
    case: Case, api: KubernetesApi, namespace: str, foreign_crds: Install
) -> None:
    """There and back: the objects are then as they were made."""
    paths = await created(case, api, namespace, foreign_crds)
    routers, ref = Routers(api), case.ref(namespace)
    before = await seen(api, paths)
    facts = await routers.read(ref, case.services)
    assert [(rule.index, dict(rule.weights)) for rule in facts.rules] == [(case.index, case.before)]
    moved = await shifted(routers, case, ref, case.shift)
    assert dict(moved.rules[0].weights) == case.shift
    after = await seen(api, paths)
    found = {key: set(differences(before[key], after[key])) for key in paths}
    assert {key: paths for key, paths in found.items() if paths} == case.changed
    await at_rest(api, paths)
    again = await routers.read(ref, case.services)
    assert dict(again.rules[0].weights) == case.shift
    await shifted(routers, case, ref, case.before)
    assert await seen(api, paths) == before


@each_router
async def test_a_write_on_old_facts_is_refused_and_changes_nothing(
    case: Case, api: KubernetesApi, namespace: str, foreign_crds: Install
) -> None:
    """Read again, it goes through."""
    paths = await created(case, api, namespace, foreign_crds)
    routers, ref = Routers(api), case.ref(namespace)
    old = await routers.read(ref, case.services)
    first = next(path for (_, name), path in paths.items() if name == case.name)
    await api.merge_patch(first, {"metadata": {"labels": {"touched": "by-somebody"}}})
    before = await seen(api, paths)
    with pytest.raises(ConflictError):
        await routers.write(old, {case.index: case.shift})
    assert await seen(api, paths) == before
    moved = await shifted(routers, case, ref, case.shift)
    assert dict(moved.rules[0].weights) == case.shift


@each_router
async def test_weights_that_are_there_already_are_not_written(
    case: Case, api: KubernetesApi, namespace: str, foreign_crds: Install
) -> None:
    """The object keeps its version."""
    paths = await created(case, api, namespace, foreign_crds)
    routers = Routers(api)
    facts = await routers.read(case.ref(namespace), case.services)
    versions = [
        (await api.get(path))["metadata"]["generation"]
        for path in paths.values()
        if "generation" in (await api.get(path))["metadata"]
    ]
    await routers.write(facts, {case.index: case.before})
    assert versions == [
        found["metadata"]["generation"]
        for path in paths.values()
        if "generation" in (found := await api.get(path))["metadata"]
    ]


class FailsSecond:
    """The API, with a connection that breaks before the second write."""

    def __init__(self, api: KubernetesApi) -> None:
        self.api, self.written = api, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.api, name)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> Json:
        self.written += 1
        if self.written > 1:
            raise UnavailableError("the connection to the API server broke")
        return await self.api.merge_patch(path, body)


async def test_a_half_done_ratio_is_finished_by_the_same_weights(
    api: KubernetesApi, namespace: str, foreign_crds: Install
) -> None:
    """What grows has grown when the connection breaks; read again, the rest follows."""
    case = next(one for one in CASES if one.kind == "ReplicaRatio")
    paths = await created(case, api, namespace, foreign_crds)
    ref = case.ref(namespace)
    breaking = Routers(FailsSecond(api))
    facts = await breaking.read(ref, case.services)
    with pytest.raises(UnavailableError):
        await breaking.write(facts, {0: case.shift})
    await at_rest(api, paths)
    routers = Routers(api)
    half = await routers.read(ref, case.services)
    assert dict(half.rules[0].weights) == {"target": 3, "next": 3}
    with pytest.raises(ConflictError):
        await routers.write(facts, {0: case.shift})
    whole = await shifted(routers, case, ref, case.shift)
    assert dict(whole.rules[0].weights) == case.shift
    # No pod is ready, as nothing pulls their image.
    assert (whole.in_effect, whole.message) == (False, "waiting for 4 of 4 pods to become ready")


@pytest.mark.parametrize(
    ("total", "written"), [("10", "100"), ("1000", "1000")], ids=["as 100", "finer"]
)
async def test_an_open_circuit_leaves_a_canary_all_of_the_traffic(
    total: str, written: str, api: KubernetesApi, namespace: str
) -> None:
    """By the total that ingress-nginx counts with."""
    collection = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    await api.create(collection, ingress(**{"canary-weight-total": total}))
    ours, routers = Services("target", None, "next"), Routers(api)
    facts = await routers.read(ObjectRef("Ingress", namespace, "model"), ours)
    await routers.write(facts, open_circuit(facts.rules, ours, facts.grain))
    found = (await api.get(f"{collection}/model"))["metadata"]["annotations"]
    assert found["nginx.ingress.kubernetes.io/canary-weight"] == written
    assert found["nginx.ingress.kubernetes.io/canary-weight-total"] == total


async def test_what_is_missing_is_told_from_a_kind_that_is_not_there(
    api: KubernetesApi, namespace: str, foreign_crds: Install
) -> None:
    """The sentence names the object, or once the kind with its API."""
    name = "virtualservices.networking.istio.io"
    services, ref = (
        Services("target", "next", None),
        ObjectRef("VirtualService", namespace, "model"),
    )
    await api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")

    async def refusal() -> str:
        try:
            await Routers(api).read(ref, services)
        except UnknownKindError as error:
            return str(error)
        except NotFoundError:
            return ""
        raise AssertionError("there is no such object")

    assert await eventually(refusal) == (
        f"get virtualservices {namespace}/model: the cluster does not know virtualservices"
        " (networking.istio.io/v1)"
    )
    await foreign_crds(name)
    with pytest.raises(NotFoundError, match="virtualservices") as raised:
        await Routers(api).read(ref, services)
    assert not isinstance(raised.value, UnknownKindError)
