"""The lease: one holder, observed time, given up at once, never surer of itself than it may be.

On a fake API, whose faults are scripted, with a lease of half a second; no clock is asked for more
than an order of events.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.fakeapi.connection import connected
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.ports import UnavailableError
from backstop.runtime.lease import Lease

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/demo/leases"
DURATION = 0.5


@pytest.fixture
async def server() -> AsyncIterator[FakeApi]:
    async with FakeApi() as running:
        yield running


@pytest.fixture
async def api(server: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesApi]:
    client = await connected(server, tmp_path)
    yield client
    await client.close()


class Replica:
    """A lease that runs, and what it told: `gained` and `lost`, in order."""

    def __init__(self, api: KubernetesApi, identity: str, *, duration: float = DURATION) -> None:
        self.lease = Lease(
            api, "demo", "backstop", identity, duration=duration, renew=0.1, retry=0.05
        )
        self.told: list[str] = []
        self.refuse: list[Exception] = []
        self.takes, self.broken_off = 0.0, 0
        self.task = asyncio.create_task(self.lease.run(self._gained, lambda: self._tell("lost")))

    async def _gained(self) -> None:
        if self.refuse:
            raise self.refuse.pop()
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        self._tell("gained")

    def _tell(self, what: str) -> None:
        self.told.append(what)

    async def ended(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is the case."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.01)


def _holder(server: FakeApi) -> str:
    (body,) = server.store.objects.values()
    return str(body["spec"]["holderIdentity"])


async def test_one_holds_it_and_the_other_waits(server, api):
    """As long as the first renews."""
    first = Replica(api, "first")
    await until(lambda: first.told)
    second = Replica(api, "second")
    await asyncio.sleep(3 * DURATION)
    assert (first.told, second.told, _holder(server)) == (["gained"], [], "first")
    assert first.lease.is_sure
    assert not second.lease.is_sure
    await first.ended()
    await second.ended()


async def test_who_renews_no_more_is_followed_after_the_duration(server, api):
    """And not before, by the clock of who waits."""
    first = Replica(api, "first")
    await until(lambda: first.told)
    second = Replica(api, "second")
    await until(lambda: second.lease._seen[0])
    await first.ended()
    version, since = second.lease._seen
    await until(lambda: second.told)
    assert version != ""
    assert time.monotonic() - since >= DURATION
    assert _holder(server) == "second"
    (body,) = server.store.objects.values()
    assert body["spec"]["leaseTransitions"] == 1
    await second.ended()


async def test_what_is_given_up_is_taken_without_waiting(server, api):
    """The record names nobody then; a lease of an hour would not end by itself in this test."""
    first = Replica(api, "first", duration=3600.0)
    await until(lambda: first.told)
    second = Replica(api, "second", duration=3600.0)
    await first.ended()
    await first.lease.release()
    assert _holder(server) == ""
    assert not first.lease.is_sure
    await until(lambda: second.told)
    assert _holder(server) == "second"
    await second.ended()


async def test_what_is_held_by_another_is_not_given_up(server, api):
    """A deposed replica that ends leaves the lease of its successor alone."""
    first = Replica(api, "first")
    await until(lambda: first.told)
    await first.ended()
    second = Replica(api, "second")
    await until(lambda: second.told)
    await first.lease.release()
    await first.lease.release()
    assert _holder(server) == "second"
    await second.ended()


async def test_a_deposed_holder_says_that_it_lost(api):
    """Once it sees another's name, whatever its clock says."""
    first = Replica(api, "first", duration=3600.0)
    await until(lambda: first.told)
    path = f"{COLLECTION}/backstop"
    await api.merge_patch(path, {"spec": {"holderIdentity": "second"}})
    await until(lambda: len(first.told) > 1)
    assert first.told == ["gained", "lost"]
    assert not first.lease.is_sure
    await first.ended()


async def test_a_holder_that_cannot_renew_is_first_unsure_and_then_lost(server, api):
    """A few failures are borne; it ends before others may take over."""
    first = Replica(api, "first")
    await until(lambda: first.told)
    server.faults += [Fault("get", "leases", nth=1, status=500)]
    await asyncio.sleep(0.3)
    assert first.told == ["gained"]
    begin = time.monotonic()
    server.faults += [Fault("get", "leases", nth=number, status=500) for number in range(1, 99)]
    await until(lambda: len(first.told) > 1)
    assert first.told == ["gained", "lost"]
    assert time.monotonic() - begin < 10
    await first.ended()


async def test_after_a_pause_of_the_process_nothing_is_sure_before_anything_else_runs(api):
    """Time that passes for the process at once, as in a SIGSTOP, is noticed by who asks."""
    first = Replica(api, "first")
    await until(lambda: first.told)
    assert first.lease.is_sure
    time.sleep(DURATION * 1.2)  # noqa: ASYNC251 (the whole process is to stand still)
    assert not first.lease.is_sure
    await until(lambda: first.lease.is_sure)
    assert first.told == ["gained"]
    await first.ended()


async def test_who_cannot_begin_gives_the_lease_up_and_tries_again(server, api):
    """Another replica may be able to."""
    first = Replica(api, "first")
    first.refuse.append(UnavailableError("no answer"))
    await until(lambda: first.told)
    assert first.told == ["gained"]
    assert len([one for one in server.writes if one[0] == "patch"]) >= 2
    await first.ended()


async def test_two_that_ask_at_once_get_it_once(api):
    """The precondition of the write decides."""
    replicas = [Replica(api, f"r{number}") for number in range(5)]
    await until(lambda: any(one.told for one in replicas))
    await asyncio.sleep(3 * DURATION)
    assert [told for one in replicas for told in one.told] == ["gained"]
    for one in replicas:
        await one.ended()


async def test_it_is_renewed_while_a_long_beginning_lasts(api):
    """To list all monitors of a slow API server may take longer than a lease lasts."""
    first = Replica(api, "first")
    first.takes = 3 * DURATION
    await until(lambda: first.lease.held)
    second = Replica(api, "second")
    await until(lambda: first.told)
    assert first.lease.is_sure
    assert (first.told, second.told) == (["gained"], [])
    await first.ended()
    await second.ended()


async def test_who_loses_it_while_it_begins_begins_no_further(api):
    """Nor does anything of a beginning go on after the end."""
    first = Replica(api, "first", duration=3600.0)
    first.takes = 3600.0
    await until(lambda: first.lease.held)
    path = f"{COLLECTION}/backstop"
    await api.merge_patch(path, {"spec": {"holderIdentity": "second"}})
    await until(lambda: first.told)
    await api.merge_patch(path, {"spec": {"holderIdentity": ""}})
    await until(lambda: first.lease.held)
    await first.ended()
    assert first.told == ["lost"]
    assert first.broken_off == 2


async def test_a_bug_in_the_beginning_ends_it(api):
    """So that the operator ends, and does not hold a lease under which nothing is done."""
    first = Replica(api, "first")
    first.refuse.append(KeyError("bug"))
    with pytest.raises(KeyError):
        await first.task
