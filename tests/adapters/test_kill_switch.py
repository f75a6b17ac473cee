"""The kill switch: read afresh each time, and on unless it is clearly off."""

from collections.abc import AsyncIterator

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kill_switch import ConfigMapKillSwitch
from backstop.adapters.kube import KubernetesApi
from backstop.ports import OutsideError, UnknownKindError

MAPS = "/api/v1/namespaces/backstop/configmaps"
ON = "the kill switch backstop/stop is on"


@pytest.fixture
async def fake() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def api(fake: FakeApi) -> AsyncIterator[KubernetesApi]:
    client = KubernetesApi(Configuration(host=fake.url), deadline=0.5)
    yield client
    await client.close()


@pytest.fixture
def switch(api: KubernetesApi) -> ConfigMapKillSwitch:
    return ConfigMapKillSwitch(api, "backstop", "stop")


def turn(fake: FakeApi, data: object) -> None:
    fake.add(MAPS, {"metadata": {"name": "stop"}, "data": data})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"engaged": "true"}, ON),
        ({"engaged": "TRUE\n"}, ON),
        ({"engaged": "On", "reason": ""}, ON),
        ({"engaged": "yes", "reason": "migration\nof the\x1b[31m gateway"}, "migration of the"),
        ({"engaged": "1", "reason": "drill"}, "drill"),
        ({"engaged": "false", "reason": "drill"}, ""),
        ({"engaged": " off "}, ""),
        ({"engaged": "No"}, ""),
        ({"engaged": "0"}, ""),
    ],
)
async def test_on_and_off(fake, switch, data, why):
    """On gives the reason that is written, on one line, or names the ConfigMap; off gives none."""
    turn(fake, data)
    said = await switch.engaged()
    assert said.startswith(why)
    assert bool(said) == bool(why)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"engaged": "maybe"}, "'maybe'"),
        ({"engaged": ""}, "''"),
        ({"engaged": "flase"}, "'flase'"),
        ({"engage": "true"}, "''"),
        ({}, "''"),
        (None, "''"),
        (["engaged"], "''"),
        ({"engaged": None}, "'None'"),
    ],
)
async def test_what_cannot_be_understood_counts_as_on(fake, switch, data, value):
    """Somebody wanted something of it, so nothing is done until it says what."""
    turn(fake, data)
    assert await switch.engaged() == (
        "the kill switch backstop/stop cannot be understood, so it counts as on:"
        f" engaged is {value}, write true or false"
    )


async def test_without_a_configmap_it_is_off(switch):
    """An installation need not create it."""
    assert await switch.engaged() == ""


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_what_cannot_be_read_is_an_error(fake, switch, status):
    """The caller learns that it must not act; the next time is asked anew."""
    turn(fake, {"engaged": "false"})
    fake.faults.append(Fault("get", "stop", status=status))
    with pytest.raises(OutsideError, match="configmaps backstop/stop"):
        await switch.engaged()
    assert await switch.engaged() == ""


async def test_an_answer_from_elsewhere_is_not_absence():
    """A 404 that is no Status of the API server says nothing about the ConfigMap."""

    class Proxy:
        async def get(self, path: str) -> dict[str, object]:
            raise UnknownKindError(f"get {path}: page not found")

    with pytest.raises(UnknownKindError):
        await ConfigMapKillSwitch(Proxy(), "backstop", "stop").engaged()


async def test_a_slow_server_is_an_error(fake, switch):
    """No answer is not the answer that nothing is stopped."""
    fake.faults.append(Fault("get", "stop", delay=1.0))
    with pytest.raises(OutsideError, match="no answer"):
        await switch.engaged()


async def test_it_is_read_each_time(fake, switch, api):
    """Nothing is remembered: it holds from the next write on, and so does its end."""
    turn(fake, {"engaged": "off"})
    path = f"{MAPS}/stop"
    seen = [await switch.engaged()]
    for value in ("on", "off"):
        await api.merge_patch(path, {"data": {"engaged": value}})
        seen.append(await switch.engaged())
    await api.merge_patch(path, {"data": {"engaged": "on"}})
    await api.delete(path)
    seen.append(await switch.engaged())
    assert seen == ["", ON, "", ""]
    assert len([one for one in fake.requests if one[0] == "get"]) == 4
