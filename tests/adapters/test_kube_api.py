"""The Kubernetes API: what each refusal becomes, and that no write is ever sent twice."""

from collections.abc import AsyncIterator

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop import __version__
from backstop.adapters.kube import KubernetesApi
from backstop.ports import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    OutsideError,
    UnavailableError,
)

MAPS = "/api/v1/namespaces/demo/configmaps"
MAP = f"{MAPS}/settings"


@pytest.fixture
async def fake() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        server.add(MAPS, {"metadata": {"name": "settings"}, "data": {"a": "1"}, "status": {"x": 1}})
        yield server


@pytest.fixture
async def api(fake: FakeApi) -> AsyncIterator[KubernetesApi]:
    client = KubernetesApi(Configuration(host=fake.url), deadline=0.5)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, InvalidError),
        (409, ConflictError),
        (410, UnavailableError),
        (413, InvalidError),
        (415, InvalidError),
        (422, InvalidError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
    ],
)
async def test_each_status_has_one_error(fake, api, status, error):
    """The error says verb, resource and the server's words, and the write was tried once."""
    fake.faults.append(Fault("patch", "settings", status=status, message="quota\x1b[31m\nexceeded"))
    with pytest.raises(OutsideError) as caught:
        await api.merge_patch(MAP, {"data": {"a": "2"}})
    assert type(caught.value) is error
    assert str(caught.value) == "patch configmaps demo/settings: quota [31m exceeded"
    assert fake.requests == [("patch", MAP)]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(fake, api, status):
    """The seconds that an overloaded server asks for reach whoever schedules the next attempt."""
    fake.faults.append(Fault("get", "settings", status=status, retry_after="7"))
    with pytest.raises(UnavailableError) as caught:
        await api.get(MAP)
    assert caught.value.retry_after == 7.0


async def test_retry_after_cannot_stall_the_operator(fake, api):
    """An absurd Retry-After is cut, and one that is no number of seconds means the default."""
    fake.faults.append(Fault("get", "settings", nth=1, status=503, retry_after="1e9"))
    fake.faults.append(Fault("get", "settings", nth=2, status=503, retry_after="tomorrow"))
    waits = []
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            await api.get(MAP)
        waits.append(caught.value.retry_after)
    assert waits == [300.0, 1.0]


async def test_messages_are_short(fake, api):
    """A long message of the server is cut, so that it fits a status."""
    fake.faults.append(Fault("get", "settings", status=403, message="no " * 500))
    with pytest.raises(ForbiddenError) as caught:
        await api.get(MAP)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize(
    "write",
    [
        lambda api: api.create(MAPS, {"metadata": {"name": "new"}}),
        lambda api: api.merge_patch(MAP, {"data": {"a": "2"}}),
        lambda api: api.json_patch(MAP, [{"op": "add", "path": "/data/a", "value": "2"}]),
        lambda api: api.apply(MAP, {"data": {"a": "2"}}),
        lambda api: api.delete(MAP),
    ],
    ids=["create", "merge", "json", "apply", "delete"],
)
@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize("warm", [False, True], ids=["new-connection", "reused-connection"])
async def test_a_write_is_sent_once(fake, api, write, reset, warm):
    """A connection that breaks during a write is an error; nobody repeats the write."""
    if warm:
        await api.get(MAP)
    fake.faults = [Fault(verb, "", reset=reset) for verb in ("create", "patch", "delete")]
    with pytest.raises(UnavailableError, match="the connection to the API server broke"):
        await write(api)
    assert len([one for one in fake.requests if one[0] != "get"]) == 1
    assert len(fake.writes) == (1 if reset == "after" else 0)


async def test_a_slow_write_is_given_up_once(fake, api):
    """A write past its deadline is an error and is not sent again, although it took effect."""
    fake.faults.append(Fault("patch", "settings", delay=1.0))
    with pytest.raises(UnavailableError, match=r"no answer within 0\.5 s"):
        await api.merge_patch(MAP, {"data": {"a": "2"}})
    assert fake.requests == [("patch", MAP)]


async def test_redirects_are_refused(fake, api):
    """The credentials are for one server: an answer that points elsewhere is an error."""
    fake.faults.append(Fault("patch", "settings", status=307))
    with pytest.raises(UnavailableError, match="redirects elsewhere"):
        await api.merge_patch(MAP, {})


async def test_no_server():
    """Nobody listening is UnavailableError, without an address in its message."""
    async with FakeApi() as gone:
        url = gone.url
    client = KubernetesApi(Configuration(host=url), deadline=2)
    with pytest.raises(UnavailableError) as caught:
        await client.get(MAP)
    await client.close()
    assert str(caught.value) == "get configmaps demo/settings: cannot connect to the API server"


async def test_a_stale_version_is_a_conflict(api):
    """A resourceVersion in either kind of patch is a precondition."""
    stale = (await api.get(MAP))["metadata"]["resourceVersion"]
    await api.merge_patch(MAP, {"data": {"a": "2"}})
    with pytest.raises(ConflictError):
        await api.merge_patch(MAP, {"metadata": {"resourceVersion": stale}, "data": {"a": "3"}})
    with pytest.raises(ConflictError):
        await api.json_patch(
            MAP,
            [
                {"op": "replace", "path": "/metadata/resourceVersion", "value": stale},
                {"op": "replace", "path": "/data/a", "value": "3"},
            ],
        )
    assert (await api.get(MAP))["data"] == {"a": "2"}


async def test_a_failed_test_is_a_conflict(fake, api):
    """A patch whose `test` does not hold is a conflict: the object is not what we thought."""
    operations = [
        {"op": "test", "path": "/data/a", "value": "9"},
        {"op": "replace", "path": "/data/a", "value": "3"},
    ]
    with pytest.raises(ConflictError, match="no longer what the patch expects"):
        await api.json_patch(MAP, operations)
    assert fake.writes == []


async def test_taken_names_and_absent_objects(api):
    """Creating what exists is a conflict; deleting what is gone is a success."""
    with pytest.raises(ConflictError):
        await api.create(MAPS, {"metadata": {"name": "settings"}})
    await api.delete(MAP)
    await api.delete(MAP)
    with pytest.raises(NotFoundError):
        await api.get(MAP)


async def test_lists_are_read_to_the_end(fake, api):
    """A collection larger than a page comes back whole, in pages of 500."""
    for number in range(1200):
        fake.add(MAPS, {"metadata": {"name": f"m{number:04}"}})
    assert len(await api.list(MAPS, labelSelector="a in (b,c)")) == 1201
    assert [query["limit"] for query in fake.queries] == ["500"] * 3
    assert {query["labelSelector"] for query in fake.queries} == {"a in (b,c)"}


async def test_requests_say_who_writes(fake, api):
    """Each request names the program and its version; each write names the field manager."""
    await api.get(MAP)
    await api.merge_patch(MAP, {"data": {"a": "2"}})
    await api.apply(MAP, {"data": {"a": "3"}})
    assert {one["User-Agent"] for one in fake.headers} == {f"backstop/{__version__}"}
    assert fake.queries == [
        {},
        {"fieldManager": "backstop"},
        {"fieldManager": "backstop", "force": "false"},
    ]


async def test_no_configuration(tmp_path):
    """A kubeconfig that is absent or nonsense is a sentence, not a traceback."""
    with pytest.raises(OutsideError, match="cannot load a Kubernetes configuration"):
        await KubernetesApi.connect(kubeconfig=str(tmp_path / "absent"))
    broken = tmp_path / "broken"
    broken.write_text("apiVersion: v1\nkind: Config\nclusters: []\n")
    with pytest.raises(OutsideError, match="cannot load a Kubernetes configuration"):
        await KubernetesApi.connect(kubeconfig=str(broken))
