"""The responder of a default prediction is there when it is needed, and costs little until then."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from tests.core.build import spec
from tests.runtime.test_watch import monitor

from backstop.ports import KubeApi, NotFoundError, UnavailableError
from backstop.runtime.default_prediction import FORGOTTEN, LOOK_EVERY, DefaultPredictions
from backstop.runtime.record import Record, record_of

DEPLOYMENT = "/apis/apps/v1/namespaces/demo/deployments/"
SERVICE = "/api/v1/namespaces/demo/services/"


class Api:
    """What was applied, by path, and how often it was looked for or applied."""

    def __init__(self) -> None:
        self.there: dict[str, Mapping[str, Any]] = {}
        self.looks = self.writes = 0
        self.is_down = False

    async def apply(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.writes += 1
        self.there[path] = body
        return body

    async def metadata(self, path: str) -> Mapping[str, Any]:
        self.looks += 1
        if self.is_down:
            raise UnavailableError("no answer")
        if path not in self.there:
            raise NotFoundError(f"{path} not found")
        return {}


class Clock:
    """It stands still until it is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responders(api: Api, clock: Clock) -> DefaultPredictions:
    return DefaultPredictions(cast("KubeApi", api), "image", clock.now)


def wants(uid: str = "m", body: str = "{}") -> Record:
    """Return a monitor that wants a responder."""
    found = monitor("m", uid=uid)
    found["spec"] = spec(fallback={"defaultPrediction": {"body": body}}).to_json()
    return record_of(found, {})


@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE])
async def test_a_responder_that_somebody_deleted_comes_back(api, clock, responders, kind):
    """Within a minute, and not only in the incident that needs it."""
    assert await responders.ensure(wants()) == []
    assert [path.rpartition("/")[0] + "/" for path in api.there] == [DEPLOYMENT, SERVICE]
    (path,) = [path for path in api.there if path.startswith(kind)]
    del api.there[path]
    clock.time = LOOK_EVERY
    assert await responders.ensure(wants()) == []
    assert path in api.there


async def test_a_responder_that_is_there_is_not_written_again(api, clock, responders):
    """It is looked for once a minute; a new answer is applied at once."""
    for clock.time in range(0, 300, 5):
        await responders.ensure(wants())
    assert (api.writes, api.looks) == (2, 8)
    await responders.ensure(wants(body="[]"))
    assert api.writes == 4


async def test_an_api_server_that_is_down_is_no_missing_responder(api, clock, responders):
    """Nothing is said and nothing is written where nothing is known."""
    await responders.ensure(wants())
    api.is_down, clock.time = True, LOOK_EVERY
    assert await responders.ensure(wants()) == []
    assert api.writes == 2


async def test_responders_of_monitors_that_are_gone_are_forgotten(clock, responders):
    """Monitors come and go, and their number is without bound."""
    for clock.time in (0.0, FORGOTTEN):
        await responders.ensure(wants(uid=f"m{clock.time}"))
    assert len(responders._applied) == 1
