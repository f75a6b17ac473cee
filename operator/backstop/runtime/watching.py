"""kopf's watches as one part of the operator: they run until a stop, and never stop it by a signal.

kopf puts its own handlers of signals in place of ours and then ends by itself, seconds later. So
ours are set again once its tasks exist: a signal first ends what acts.

An API server that goes away or is in trouble says so within a watch. For kopf that is the end,
unless it is "gone"; for us it is a reason to list and watch anew.
"""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, cast

import kopf
import structlog
from kopf._cogs.clients.watching import WatchingError

from backstop.runtime.login import login

_LOG = structlog.get_logger(__name__)

WATCH_AGAIN: Final = 1.0
"""Seconds after which it is watched anew."""


class _Patiently:
    """Waits for kopf's next try of a request: without end, since a watch that ends ends us."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 2.0, 5.0, 10.0), itertools.repeat(30.0))


class _AllTasks:
    """Holds every task: kopf takes each that is younger than its own for its own, and ends it."""

    def __contains__(self, _: object) -> bool:
        return True


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.request_timeout = 20
    settings.networking.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.networking.error_backoffs = _Patiently()
    settings.queueing.error_delays = (1, 2, 5, 10, 30)
    settings.persistence.finalizer = "backstop.dev/kopf"
    return settings


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set ``stop`` on SIGINT and on SIGTERM."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)


async def until_stopped(
    registry: kopf.OperatorRegistry, namespaces: Sequence[str], stop: asyncio.Event
) -> None:
    """Watch for the handlers of ``registry``, in all namespaces where none is given."""
    kopf.on.login(registry=registry)(login)
    while not stop.is_set():
        watches = await kopf.spawn_tasks(
            registry=registry,
            settings=_settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            stop_flag=stop,
        )
        stop_on_signals(stop)
        try:
            await kopf.run_tasks(
                watches, ignored=cast("Collection[asyncio.Task[Any]]", _AllTasks())
            )
        except WatchingError as error:
            _LOG.warning("a watch broke; watching anew", error=str(error)[:300])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WATCH_AGAIN)
        else:
            return
