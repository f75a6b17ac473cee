"""Events: repetitions are counted, memory is bounded, and no failure reaches the caller."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.notify.events import EventRecorder

MONITOR = {
    "apiVersion": "backstop.dev/v1alpha1",
    "kind": "ModelMonitor",
    "namespace": "demo",
    "name": "scorer",
    "uid": "u1",
}


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 8, 0, 0, 500, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
async def fake() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
async def recorder(fake: FakeApi, clock: Watch) -> AsyncIterator[EventRecorder]:
    api = KubernetesApi(Configuration(host=fake.url), deadline=1)
    events = EventRecorder(api, queued=20, remembered=3, now=clock)
    events.start()
    yield events
    await events.close()
    await api.close()


def record(
    events: EventRecorder, key: str = "k", note: str = "Moved traffic.", **more: str
) -> None:
    events.record(
        regarding=MONITOR | more,
        reason="TrafficMoved",
        action="OpenCircuit",
        note=note,
        type_="Warning",
        key=key,
    )


def written(fake: FakeApi) -> list[dict]:
    return [body for key, body in fake.store.objects.items() if key[0].endswith("/events")]


async def test_an_event_says_everything(fake, recorder):
    """All that the API requires, and the object with its uid, so that `describe` finds it."""
    record(recorder)
    await recorder._idle.wait()
    (event,) = written(fake)
    assert event["regarding"] == MONITOR
    assert (event["reason"], event["action"], event["type"]) == (
        "TrafficMoved",
        "OpenCircuit",
        "Warning",
    )
    assert (event["note"], event["eventTime"]) == ("Moved traffic.", "2026-11-23T08:00:00.000500Z")
    assert event["reportingController"] == "backstop.dev/operator"
    assert event["metadata"]["namespace"] == "demo"
    assert event["metadata"]["name"].startswith("scorer.")


async def test_repetitions_are_counted(fake, recorder, clock):
    """The same key within ten minutes of the last time is one Event with a series."""
    for _ in range(3):
        record(recorder)
        clock.time += timedelta(minutes=10)
    await recorder._idle.wait()
    (event,) = written(fake)
    assert event["series"] == {"count": 3, "lastObservedTime": "2026-11-23T08:20:00.000500Z"}
    clock.time += timedelta(seconds=1)
    record(recorder)
    await recorder._idle.wait()
    assert len(written(fake)) == 2


async def test_other_keys_are_other_events(fake, recorder):
    """Events with different keys are never merged."""
    record(recorder, "a")
    record(recorder, "b")
    await recorder._idle.wait()
    assert len(written(fake)) == 2


async def test_an_expired_event_is_written_anew(fake, recorder):
    """A repetition of an Event that the API server has forgotten is an Event again."""
    record(recorder)
    await recorder._idle.wait()
    fake.store.objects.clear()
    record(recorder)
    await recorder._idle.wait()
    assert len(written(fake)) == 1


async def test_memory_of_events_is_bounded(fake, recorder):
    """What was used longest ago is forgotten first, and then counts as new."""
    for key in ("a", "b", "c", "a", "d", "a", "b"):
        record(recorder, key)
    await recorder._idle.wait()
    assert list(recorder._sent) == ["d", "a", "b"]
    assert len(written(fake)) == 5


async def test_a_flood_drops_the_oldest(fake, recorder):
    """When Events come faster than they are written, the newest survive and the rest is counted."""
    for number in range(25):
        record(recorder, f"k{number}", f"note {number}")
    assert recorder.dropped == 5
    await recorder._idle.wait()
    notes = {event["note"] for event in written(fake)}
    assert notes == {f"note {number}" for number in range(5, 25)}


@pytest.mark.parametrize("status", [403, 422, 500])
async def test_a_failure_is_logged_and_forgotten(fake, recorder, status):
    """An Event that cannot be written is a log line; the next one is written."""
    fake.faults.append(Fault("create", "events", status=status))
    with structlog.testing.capture_logs() as logs:
        record(recorder, "a")
        record(recorder, "b")
        await recorder._idle.wait()
    assert [line["event"] for line in logs] == ["event_not_recorded"]
    assert logs[0]["log_level"] == "warning"
    assert len(written(fake)) == 1


async def test_a_bug_does_not_end_the_task(fake, recorder):
    """Even an Event about nothing leaves the recorder working."""
    with structlog.testing.capture_logs() as logs:
        record(recorder, "a", name="")
        record(recorder, "b")
        await recorder._idle.wait()
    assert len(logs) == 1
    assert len(written(fake)) == 1


async def test_notes_fit(fake, recorder):
    """A long note is cut at 1,000 characters, and to the bytes that the API server accepts."""
    record(recorder, "a", "x" * 5000)
    record(recorder, "b", "é" * 5000)
    await recorder._idle.wait()
    notes = sorted(event["note"] for event in written(fake))
    assert [len(note) for note in notes] == [1000, 512]
    assert len(notes[1].encode()) == 1024


async def test_cluster_scoped_objects(fake, recorder):
    """An Event about an object without a namespace lives in `default`, as kubectl expects."""
    record(recorder, namespace="")
    await recorder._idle.wait()
    (event,) = written(fake)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


async def test_close_writes_what_waits(fake, recorder):
    """A shutdown does not lose the last words, unless the API server is too slow for them."""
    record(recorder, "a")
    await recorder.close()
    assert len(written(fake)) == 1
    recorder.start()
    fake.faults.append(Fault("create", "events", delay=0.8))
    record(recorder, "b")
    await recorder.close(patience=0.1)
    assert len(written(fake)) == 1
