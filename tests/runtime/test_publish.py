"""Incident objects that cannot be written: asked for ever more rarely, and never for ever."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.core.build import episode, spec

from backstop.adapters.notify.events import EventRecorder
from backstop.ports import (
    ForbiddenError,
    InvalidError,
    KubeApi,
    NotFoundError,
    Notifier,
    OutsideError,
    UnavailableError,
)
from backstop.runtime import publish
from backstop.runtime.publish import Publisher
from backstop.runtime.record import Record


class Namespaces:
    """An API in which Incidents of namespace ``gone`` fail; ``asked`` lists the namespaces."""

    def __init__(self, error: OutsideError) -> None:
        self.error, self.asked, self.shown = error, list[str](), list[str]()

    async def json_patch(self, path: str, body: Any) -> Mapping[str, Any]:
        namespace = path.split("/")[5]
        self.asked.append(namespace)
        if namespace == "gone":
            raise self.error
        self.shown.append(body[0]["value"]["phase"])
        return {}

    async def create(self, path: str, _: Any) -> Mapping[str, Any]:
        assert "/gone/" in path
        raise self.error


class Time:
    """It is what it is set to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(publish.time, "monotonic", lambda: self.now)


def show(publisher: Publisher, namespace: str) -> None:
    """Let the incident of the monitor of a namespace be shown."""
    record = SimpleNamespace(namespace=namespace, name="fraud", spec=spec())
    publisher._show(cast("Record", record), episode())


def publisher_of(api: Namespaces) -> Publisher:
    """Return a publisher of Incident objects alone."""
    nothing: Any = None
    return Publisher(
        cast("KubeApi", api), cast("EventRecorder", nothing), cast("Notifier", nothing)
    )


async def hour(publisher: Publisher, time: Time) -> None:
    """Let an hour go by, in which all is written when it is due."""
    while time.now < 3600.0 and not await publisher.flush():
        time.now += publisher._wait() or 0.0


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (NotFoundError("namespaces gone not found"), 6, 6),
        (InvalidError("a webhook refuses it"), 6, 6),
        (ForbiddenError("because it is being terminated"), 60, 70),
        (UnavailableError("no answer"), 60, 70),
    ],
)
async def test_an_incident_that_cannot_be_written_is_no_flood(error, least, most, monkeypatch):
    """It is tried each minute in the end; where its namespace is gone, it is given up."""
    api, time = Namespaces(error), Time(monkeypatch)
    publisher = publisher_of(api)
    show(publisher, "gone")
    await hour(publisher, time)
    assert least <= len(api.asked) <= most
    assert bool(publisher._pending) == (least == 60)


async def test_an_incident_that_cannot_be_written_delays_no_other(monkeypatch):
    """Not even its own news come sooner, so that a flapping one is no flood either."""
    api, time = Namespaces(ForbiddenError("no")), Time(monkeypatch)
    publisher = publisher_of(api)
    for _ in range(5):
        show(publisher, "gone")
        assert not await publisher.flush()
    show(publisher, "demo")
    assert not await publisher.flush()
    assert (api.asked, api.shown) == (["gone", "demo"], ["Open"])
    time.now = 1.0
    await publisher.flush()
    assert api.asked == ["gone", "demo", "gone"]
