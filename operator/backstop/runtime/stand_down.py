"""Leaving a cluster in a good state: replicas stopped, traffic put back, monitors let go.

Nothing is put back before this process alone may act: the Deployments are scaled to none, then each
lease is taken, as a replica that still runs would hold it. Repeating it is harmless.
"""

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backstop.adapters.notify.events import EventRecorder
from backstop.adapters.paths import collection, namespaced
from backstop.adapters.traffic.registry import Routers
from backstop.api import API_VERSION
from backstop.core.messages import Notification
from backstop.core.standing_down import stood_down
from backstop.ports import (
    ConflictError,
    ForbiddenError,
    KubeApi,
    NotFoundError,
    OutsideError,
    UnknownKindError,
)
from backstop.runtime.journal import Journal
from backstop.runtime.lease import Lease
from backstop.runtime.publish import Publisher
from backstop.runtime.record import FINALIZER, Record, record_of
from backstop.runtime.restore import put_back

_TRIES = 5
_AT_ONCE = 16
"""Monitors that are let go at the same time, so that a slow answer holds up few of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is stopped, and where: ``deployments`` and ``leases`` by name, both in ``home``.

    Monitors are those of ``namespaces``, of all where it is empty. ``timeout`` is in seconds.
    """

    home: str
    deployments: tuple[str, ...]
    leases: tuple[str, ...]
    namespaces: tuple[str, ...]
    timeout: float


class _Nobody:
    """Tells nobody: who uninstalls Backstop knows."""

    def notify(self, notification: Notification) -> None:
        """Do nothing."""


async def stand_down(api: KubeApi, plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Carry out ``plan``; ``say`` is told each step. Return what could not be put back.

    Raises:
        OutsideError: the replicas did not stop, or the monitors cannot be listed.
    """
    for name in plan.deployments:
        await _stop(api, plan.home, name, say)
    await _look_for(api, plan)
    identity = f"stand-down-{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    leases = [Lease(api, plan.home, name, identity) for name in plan.leases]
    holding = [asyncio.create_task(_hold(one)) for one in leases]
    try:
        await _held(leases, plan)
        say("all replicas have stopped")
        return await _let_go_of_all(api, plan.namespaces, say)
    finally:
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
        for lease in leases:
            await lease.release()


async def _stop(api: KubeApi, namespace: str, name: str, say: Callable[[str], None]) -> None:
    path = namespaced("apps/v1", namespace, "deployments", name, "scale")
    try:
        await api.merge_patch(path, {"spec": {"replicas": 0}})
    except NotFoundError:
        say(f"there is no Deployment {name}")
    else:
        say(f"scaled Deployment {name} to 0")


async def _look_for(api: KubeApi, plan: Plan) -> None:
    """Read each lease once, as one that cannot be read would look as if a replica renewed it.

    Raises:
        OutsideError: one cannot be read; or there is none, and nothing else says where replicas
            run, so that they may go on in another namespace while their traffic is put back.
    """
    absent: list[str] = []
    for name in plan.leases:
        try:
            await api.get(namespaced("coordination.k8s.io/v1", plan.home, "leases", name))
        except NotFoundError:
            absent.append(name)
    if absent and not plan.deployments:
        raise OutsideError(
            f"there is no lease {plan.home}/{absent[0]}, so replicas may run elsewhere: say where"
            " with --lease-namespace and --lease-name, or name their --deployment"
        )


async def _hold(lease: Lease) -> None:
    async def gained() -> None:
        return None

    await lease.run(gained, lambda: None)


async def _held(leases: Sequence[Lease], plan: Plan) -> None:
    deadline = time.monotonic() + plan.timeout
    while not all(one.held for one in leases):
        if time.monotonic() > deadline:
            names = ", ".join(one.name for one in leases if not one.held)
            raise OutsideError(
                f"a replica still renews the lease {names} after {plan.timeout:.0f} s: stop it,"
                " and try again"
            )
        await asyncio.sleep(0.1)


async def _let_go_of_all(
    api: KubeApi, namespaces: Sequence[str], say: Callable[[str], None]
) -> list[str]:
    events = EventRecorder(api)
    events.start()
    publisher = Publisher(api, events, _Nobody())
    left: list[str] = []
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(record: Record) -> None:
        try:
            async with turns:
                note = await _let_go(api, record, publisher)
        except OutsideError as error:
            left.append(f"{record.namespace}/{record.name}: {error}")
        else:
            say(f"{record.namespace}/{record.name}: {note or 'let go'}")

    try:
        await asyncio.gather(*map(one, await _monitors(api, namespaces, left)))
        await publisher.flush()
    finally:
        await events.close()
    return left


async def _monitors(api: KubeApi, namespaces: Sequence[str], left: list[str]) -> list[Record]:
    """List all monitors; one of several namespaces in which that is forbidden goes to ``left``."""
    found: list[Record] = []
    for namespace in namespaces or ("",):
        try:
            items = await api.list(collection(API_VERSION, "modelmonitors", namespace))
        except UnknownKindError:
            return found
        except ForbiddenError as error:
            if len(namespaces) <= 1:
                raise
            left.append(f"all monitors in {namespace}: {error}")
            continue
        found.extend(record_of(one, {}) for one in items)
    return found


async def _let_go(api: KubeApi, record: Record, publisher: Publisher) -> str:
    """Put the monitor's traffic back, say so in its status, and drop the finalizer."""
    journal = Journal(api)
    for attempt in range(_TRIES):
        try:
            note = await put_back(record, Routers(api))
            if record.status.observed_generation:
                await _show(journal, record, note)
            if FINALIZER in record.finalizers:
                await journal.release(record)
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
            await journal.refresh(record)
        except NotFoundError:
            return "is gone"
        else:
            break
    publisher.catch_up(record, time.time())
    if note:
        publisher.traffic_restored(record, note)
    return note


async def _show(journal: Journal, record: Record, note: str) -> None:
    ended = stood_down(
        record.status,
        monitor=record.name,
        generation=record.generation,
        has_route=record.route is not None,
        note=note,
        now=time.time(),
    )
    await journal.write(record, ended)
