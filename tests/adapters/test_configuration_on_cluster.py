"""Changes of configuration, as a real API server keeps track of them."""

import base64
import os
import time
from datetime import datetime

import pytest
from tests.adapters.real import eventually
from tests.adapters.workload_bodies import ON_CLUSTER

from backstop.adapters.configuration import ConfigurationChanges
from backstop.adapters.kube import KubernetesApi
from backstop.core.facts import ConfigurationChange, ObjectRef

pytestmark = ON_CLUSTER


async def three_seconds_old(api, path):
    """Wait until a change is told from the creation."""

    async def probe():
        made = datetime.fromisoformat((await api.metadata(path))["creationTimestamp"])
        return time.time() > made.timestamp() + 3

    await eventually(probe)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_a_real_change(api, namespace, kind):
    """Nothing is told of a new object or a new label; a change of the data is, with its manager."""
    collection = f"/api/v1/namespaces/{namespace}/{kind.lower()}s"
    path, ref = f"{collection}/features", ObjectRef(kind, namespace, "features")
    data = {"a": base64.b64encode(b"1").decode()}
    await api.create(collection, {"metadata": {"name": "features"}, "data": data})
    configuration = ConfigurationChanges(api)
    refs = (ref, ObjectRef(kind, namespace, "absent"), ObjectRef("Pod", namespace, "x"))
    assert await configuration.changes(refs) == (ConfigurationChange(ref, None),)
    await three_seconds_old(api, path)
    other = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    url = f"{other._client.configuration.host}{path}?fieldManager=label-tool"
    headers = {"Content-Type": "application/merge-patch+json"}
    labels = {"metadata": {"labels": {"touched": "yes"}}}
    await other._client.call_api("PATCH", url, header_params=headers, body=labels)
    assert await configuration.changes([ref]) == (ConfigurationChange(ref, None),)
    changed = {"data": {"a": base64.b64encode(b"2").decode()}}
    url = url.replace("label-tool", "pipeline")
    await other._client.call_api("PATCH", url, header_params=headers, body=changed)
    await other.close()
    (change,) = await configuration.changes([ref])
    assert (change.ref, change.manager) == (ref, "pipeline")
    assert change.changed is not None
    assert abs(change.changed - time.time()) < 30


async def test_contents_are_not_sent(api, namespace):
    """What is asked for is metadata, so that no secret passes through."""
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    await api.create(secrets, {"metadata": {"name": "s"}, "stringData": {"a": "hidden"}})
    seen = []
    real = api._exchange

    async def listening(request):
        answer = await real(request)
        seen.append(answer[2])
        return answer

    api._exchange = listening
    await ConfigurationChanges(api).changes([ObjectRef("Secret", namespace, "s")])
    hidden = base64.b64encode(b"hidden")
    assert seen
    assert all(b"managedFields" in one and hidden not in one for one in seen)


async def test_what_is_forbidden_is_left_out(api, namespace):
    """Without the right to read it there is nothing to tell, and no error either."""
    await api.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "m"}})
    client = await KubernetesApi.connect(kubeconfig=os.environ["KUBECONFIG"])
    client._client.set_default_header("Impersonate-User", "nobody")
    changes = await ConfigurationChanges(client).changes([ObjectRef("ConfigMap", namespace, "m")])
    await client.close()
    assert changes == ()
