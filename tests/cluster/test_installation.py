"""The chart from installation to uninstallation, with the operator in pods of its own."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from tests.chart.helm import Helm
from tests.cluster.release import DEPLOYMENT, new_release, older_chart
from tests.cluster.stage import FALLBACK, TARGET, Stage, actions, condition, until

from backstop_lab.kube_api import ApiError

pytestmark = pytest.mark.cluster

WEIGHTS = {TARGET: 100, FALLBACK: 0}
STEPS = {"release": [{"name": "back", "rollback": {}}]}


async def test_from_an_older_version_to_an_uninstall_with_an_open_circuit(
    stage: Stage, tmp_path: Path
) -> None:
    """Installed, upgraded with its definitions, repairs a release, and leaves traffic as it was."""
    home = f"ops-{uuid.uuid4().hex[:8]}"
    release = await new_release(stage.api, home, Helm(tmp_path), [stage.namespace])
    await stage.serve(WEIGHTS)

    # An older version, whose definitions lack a field
    await release.install(older_chart(tmp_path))
    await stage.watch()
    with pytest.raises(AssertionError, match="runbook"):
        await _set_runbook(stage)
    await stage.until_good()
    uid = (await stage.get("ModelMonitor", "model"))["metadata"]["uid"]

    # The upgrade brings the field, and no monitor is lost
    await release.upgrade()
    await _set_runbook(stage)
    assert (await stage.get("ModelMonitor", "model"))["metadata"]["uid"] == uid
    said = await release.test()
    assert "WRONG" not in said, said
    assert said.count("ok ") >= 6, said

    # A bad release is rolled back by the pods, under the chart's own role
    bad = await stage.release(VERSION="v2", ERROR_RATE="1.0")
    incident = await stage.until_resolved()
    assert await stage.weights() == WEIGHTS
    assert await stage.generation() == bad["metadata"]["generation"] + 1
    assert "back" in {one.get("name") for one in actions(incident["status"], "rollback")}
    assert condition(await stage.status(), "Ready")["status"] == "True"
    for pod in await release.pods():
        assert pod["spec"]["serviceAccountName"] == DEPLOYMENT
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert "orbidden" not in release.log()

    # An uninstall while the circuit is open
    await stage.until_good()
    await stage.fault(1.0, TARGET)
    await stage.until_circuit("Open")
    assert await stage.weights() == {TARGET: 0, FALLBACK: 100}
    await release.uninstall()
    assert await stage.weights() == WEIGHTS
    monitor = await stage.get("ModelMonitor", "model")
    assert not monitor["metadata"].get("finalizers")
    status = monitor["status"]
    assert status["circuit"]["phase"] == "Closed"
    assert status["incident"]["resolved"]
    assert condition(status, "Ready")["reason"] == "StoodDown"
    assert "put back" in status["why"]

    async def none_is_left() -> bool:
        return not await release.list("Pod")

    await until("no pod is left", none_is_left)


async def _set_runbook(stage: Stage) -> None:
    """Give the monitor a runbook; fails where the API server does not know the field."""
    path = f"{stage.path('ModelMonitor', 'model')}?fieldValidation=Strict"
    try:
        await stage.api.patch(path, {"spec": {"runbook": STEPS}})
    except ApiError as error:
        raise AssertionError(str(error)) from None
