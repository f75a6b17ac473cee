"""Serves an application as a pod should: on the pod's address, losing no request at its end.

On SIGTERM readiness fails first and requests are still answered, until the routers in front have
taken the pod out; only then connections close. A rollout therefore costs no request.
"""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import web

DRAIN_SECONDS = 4.0
"""How long a pod still answers after SIGTERM; endpoints reach a busy gateway within seconds."""

_SHUTDOWN_SECONDS = 5.0
_DEFAULT_PORT = "8080"


class Readiness:
    """Whether the pod wants traffic; served at `/healthz` (200 or 503)."""

    def __init__(self) -> None:
        self.ready = True

    async def healthz(self, _request: web.Request) -> web.Response:
        """Answer the readiness probe."""
        return web.Response(
            status=200 if self.ready else 503, text="ok" if self.ready else "ending"
        )


def run(application: web.Application) -> None:
    """Serve `application` on POD_IP (default 127.0.0.1) and PORT (default 8080) until SIGTERM."""
    asyncio.run(_serve(application))


async def _serve(application: web.Application) -> None:
    readiness = Readiness()
    application.router.add_get("/healthz", readiness.healthz)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    address = os.environ.get("POD_IP", "127.0.0.1")
    await web.TCPSite(runner, address, int(os.environ.get("PORT", _DEFAULT_PORT))).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    readiness.ready = False
    await asyncio.sleep(DRAIN_SECONDS)
    await runner.cleanup()
