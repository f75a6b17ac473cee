"""kopf's watches as one part of the operator: they run until a stop, and never stop it by a signal.

kopf puts its own handlers of signals in place of ours and then ends by itself, seconds later. So
ours are set again once its tasks exist: a signal first ends what acts.
"""

import asyncio
import itertools
import signal
from collections.abc import Iterator, Sequence

import kopf

from backstop.runtime.login import login


class _Patiently:
    """Waits for kopf's next try of a request: without end, since a watch that ends ends us."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 2.0, 5.0, 10.0), itertools.repeat(30.0))


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
    others = asyncio.all_tasks()
    watches = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        stop_flag=stop,
    )
    stop_on_signals(stop)
    await kopf.run_tasks(watches, ignored=others)
