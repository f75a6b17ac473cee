"""``/livez``, ``/readyz``, ``/metrics`` and what else is asked of the operator over HTTP.

Alive means that the scheduling loop has turned within the last 30 seconds; ready means that all
monitors were listed, whether this replica acts or stands by.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backstop.ports import OutsideError
from backstop.runtime.metrics import REGISTRY


@dataclass(frozen=True, slots=True)
class _Taken(Collector):
    """What the metrics were at one moment."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


async def serve(
    host: str,
    port: int,
    *,
    alive: Callable[[], bool],
    ready: Callable[[], bool],
    more: Iterable[web.RouteDef] = (),
) -> web.AppRunner:
    """Start to serve on ``host``:``port``, and return the runner, for its ``cleanup``.

    ``more`` are further routes to serve there.

    Raises:
        OutsideError: the address cannot be used.
    """

    async def livez(_: web.Request) -> web.Response:
        return _answer(good=alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(good=ready())

    async def metrics(_: web.Request) -> web.Response:
        # The values belong to the event loop; writing them out takes longer, and need not stop it.
        taken = _Taken(tuple(REGISTRY.collect()))
        body = await asyncio.to_thread(generate_latest, taken)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            *more,
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        said = f"cannot listen on {host}:{port} ({error.strerror}); give another --health-port"
        raise OutsideError(said) from None
    return runner


def _answer(*, good: bool) -> web.Response:
    return web.Response(text="ok" if good else "not ok", status=200 if good else 503)
