"""A fixed answer instead of a second model."""

from __future__ import annotations

import time

import pytest
from tests.cluster.stage import MONITOR, TARGET, Stage, until

pytestmark = pytest.mark.cluster

RESPONDER = f"{MONITOR}-default-prediction"
BODY = '{"prediction": 0.5, "why": "default \\u2014 ä"}'
ANSWER = {
    "status": 203,
    "headers": {"content-type": "application/json", "x-prediction": "default"},
    "body": BODY,
}


async def test_default_prediction_is_given_exactly_and_goes_with_the_monitor(stage: Stage) -> None:
    """While the circuit is open clients get that status, header and body; nothing is left over."""
    await stage.start()
    await stage.watch(fallback={"defaultPrediction": ANSWER}, circuit={"openFor": "5m"})
    await stage.serve({TARGET: 100, RESPONDER: 0}, elsewhere={RESPONDER: 8080})
    await stage.until_good()
    await stage.until_rolled_out(RESPONDER)
    owner = (await stage.get("ModelMonitor", MONITOR))["metadata"]["uid"]
    for kind in ("Deployment", "Service"):
        owners = (await stage.get(kind, RESPONDER))["metadata"]["ownerReferences"]
        assert [one["uid"] for one in owners] == [owner]
    await stage.fault(1.0, TARGET)
    opened = await stage.until_circuit("Open")
    assert opened["incident"]["mitigated"]
    mitigated = time.time()

    async def all_default() -> bool:
        newest = [one for one in stage.load.answers[-10:] if one.at > mitigated]
        return len(newest) == 10 and all(one.body == BODY for one in newest)

    await until("clients get the default prediction", all_default)
    newest = stage.load.answers[-1]
    assert newest.status == ANSWER["status"]
    assert newest.headers["content-type"] == "application/json"
    assert newest.headers["x-prediction"] == "default"
    await stage.delete("ModelMonitor", MONITOR)

    async def collected() -> bool:
        found = [await stage.exists(kind, RESPONDER) for kind in ("Deployment", "Service")]
        return not any(found)

    await until("the responder is garbage-collected", collected)
    assert (await stage.weights())[TARGET] == 100
