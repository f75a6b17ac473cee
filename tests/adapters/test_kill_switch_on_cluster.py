"""The kill switch on the real API server."""

import pytest

from backstop.adapters.kill_switch import ConfigMapKillSwitch
from backstop.ports import OutsideError

pytestmark = pytest.mark.cluster


async def test_it_is_turned_on_and_off(api, namespace):
    """Absent it is off, and each change holds for the next question."""
    switch = ConfigMapKillSwitch(api, namespace, "backstop-kill-switch")
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    path = f"{collection}/backstop-kill-switch"
    assert await switch.engaged() == ""
    data = {"engaged": "true", "reason": "migration of the gateway"}
    await api.create(collection, {"metadata": {"name": "backstop-kill-switch"}, "data": data})
    assert await switch.engaged() == "migration of the gateway"
    await api.merge_patch(path, {"data": {"engaged": "false"}})
    assert await switch.engaged() == ""
    await api.merge_patch(path, {"data": None})
    assert "cannot be understood" in await switch.engaged()
    await api.delete(path)
    assert await switch.engaged() == ""


async def test_a_switch_without_quotes_is_refused_by_the_server(api, namespace):
    """`engaged: true` is no text, so nobody believes it is on while it is not there."""
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    with pytest.raises(OutsideError):
        await api.create(collection, {"metadata": {"name": "stop"}, "data": {"engaged": True}})
