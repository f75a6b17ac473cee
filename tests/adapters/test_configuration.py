"""Configuration: when data changed and by whom, from metadata alone."""

from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.configuration import ConfigurationChanges, last_change
from backstop.adapters.kube import KubernetesApi
from backstop.core.facts import ConfigurationChange, ObjectRef
from backstop.ports import UnavailableError

REF = ObjectRef("ConfigMap", "demo", "features")
CREATED = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""

DATA = {"f:data": {".": {}, "f:a": {}}}


def entry(second: int, manager: str, fields: Any = DATA, **more: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "time": f"2026-01-01T00:00:{second:02}Z",
        "fieldsV1": fields,
    } | more


@pytest.mark.parametrize(
    ("entries", "changed", "manager"),
    [
        ([], None, ""),
        ([entry(0, "create")], None, ""),
        ([entry(2, "create")], None, ""),
        ([entry(3, "kubectl")], 3.0, "kubectl"),
        ([entry(0, "create"), entry(9, "b"), entry(5, "a")], 9.0, "b"),
        ([entry(0, "create"), entry(9, "b", {"f:metadata": {"f:labels": {}}})], None, ""),
        ([entry(9, "b", {"f:binaryData": {}})], 9.0, "b"),
        ([entry(9, "b", subresource="status")], None, ""),
        ([entry(9, "b", None)], None, ""),
        ([{"manager": "b", "fieldsV1": DATA}], None, ""),
    ],
)
def test_last_change(entries, changed, manager):
    """The newest write of data after the creation counts; other fields and statuses do not."""
    metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": entries}
    expected = None if changed is None else CREATED + changed
    assert last_change(REF, metadata) == ConfigurationChange(REF, expected, manager)


def test_without_a_history():
    """Where the API server keeps no track nothing is told."""
    assert last_change(REF, {}) == ConfigurationChange(REF, None)
    assert last_change(REF, {"managedFields": [entry(9, "b")]}) == ConfigurationChange(REF, None)


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        for name in ("one", "two"):
            body = {"metadata": {"name": name}, "data": {"a": "hidden"}}
            server.add("/api/v1/namespaces/demo/secrets", body)
        yield server


@pytest.fixture
async def api(fake):
    client = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield client
    await client.close()


async def test_only_metadata_is_asked_for(api, fake):
    """Every request asks for metadata alone, and only that is returned."""
    metadata = await api.metadata("/api/v1/namespaces/demo/secrets/one")
    assert metadata["name"] == "one"
    ref = ObjectRef("Secret", "demo", "one")
    assert await ConfigurationChanges(api).changes([ref]) == (ConfigurationChange(ref, None),)
    assert {one["Accept"] for one in fake.headers} == {
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    }


async def test_what_cannot_be_told_is_left_out(api, fake):
    """What is gone, forbidden or of another kind is no change, and no error."""
    fake.faults.append(Fault("get", "two", status=403))
    refs = [
        ObjectRef("Secret", "demo", "two"),
        ObjectRef("Secret", "demo", "absent"),
        ObjectRef("Pod", "demo", "x"),
        ObjectRef("Secret", "demo", "one"),
    ]
    found = await ConfigurationChanges(api).changes(refs)
    assert [one.ref for one in found] == [refs[-1]]


async def test_an_api_that_is_down(api, fake):
    """A server that does not answer is an error: silence would say that nothing changed."""
    fake.faults.append(Fault("get", "one", status=503))
    with pytest.raises(UnavailableError):
        await ConfigurationChanges(api).changes([ObjectRef("Secret", "demo", "one")])
