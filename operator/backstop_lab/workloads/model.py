"""A model service as a team would write it, which can be told to misbehave.

Run as `python3 -m backstop_lab.workloads.model`. Environment: VERSION names the release; FEATURES
names the Service of the feature store, and without it the model is a simple one that needs no
features; the faults are in `fault.py`. Each prediction needs its features within 300 ms; without
them the answer is 503 and the values count as missing.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web
from pydantic import ValidationError

from backstop_lab.workloads import serve
from backstop_lab.workloads.fault import ActiveFault, Fault
from backstop_lab.workloads.feature_store import FEATURES
from backstop_lab.workloads.model_metrics import ModelMetrics

_FEATURES_SECONDS = 0.3
_WORK_SECONDS = (0.004, 0.012)
_WEIGHTS = {"age_days": -1.5, "clicks_7d": 3.0, "price": -1.0}
_ALL_MISSING: dict[str, float | None] = dict.fromkeys(FEATURES)


def store_url(environment: Mapping[str, str]) -> str | None:
    """Return where the feature store answers, or None for a model without features.

    The Service's variables are used where the kubelet has set them, otherwise its name.
    """
    name = environment.get("FEATURES")
    if not name:
        return None
    prefix = name.upper().replace("-", "_") + "_SERVICE"
    host = environment.get(f"{prefix}_HOST", name)
    return f"http://{host}:{environment.get(f'{prefix}_PORT', '80')}/features/"


def score(features: Mapping[str, float | None]) -> float:
    """Return the prediction in (0, 1). A missing value counts as its mean."""
    total = sum(
        _WEIGHTS[name] * (0.5 if value is None else value) for name, value in features.items()
    )
    return 1 / (1 + math.exp(-total))


class Model:
    """One replica: predictions, metrics and the fault under which it works."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the environment. Raises ValidationError for a fault that makes no sense."""
        self._version = environment.get("VERSION", "v1")
        self._headers = {
            "x-model-version": self._version,
            "x-served-by": environment.get("POD_NAME") or environment.get("POD_IP", "local"),
        }
        self._store = store_url(environment)
        self._fault = ActiveFault(Fault.from_environment(environment))
        self._metrics = ModelMetrics(self._version)
        self._session: aiohttp.ClientSession | None = None

    async def lifetime(self, _application: web.Application) -> AsyncIterator[None]:
        """Hold the session to the feature store open while the application runs."""
        timeout = aiohttp.ClientTimeout(total=_FEATURES_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._session = session
            yield

    async def predict(self, request: web.Request) -> web.Response:
        """Answer one prediction, for the item in the query's `id`."""
        begin = time.perf_counter()
        status, body = await self._predict(request.query.get("id", "0"))
        self._metrics.answered(status, time.perf_counter() - begin)
        return web.json_response(body, status=status, headers=self._headers)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer a scrape."""
        return web.Response(
            body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    async def set_fault(self, request: web.Request) -> web.Response:
        """Replace the fault by the JSON in the body; see `Fault`."""
        try:
            fault = Fault.model_validate_json(await request.text())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._fault = ActiveFault(fault)
        if fault.health_gauge is not None:
            self._metrics.set_health(fault.health_gauge)
        return web.json_response(fault.model_dump(by_alias=True))

    async def _predict(self, identifier: str) -> tuple[int, dict[str, object]]:
        work = random.uniform(*_WORK_SECONDS)  # noqa: S311
        await asyncio.sleep(work + self._fault.latency())
        features = await self._features(identifier)
        if features is None:
            self._metrics.read(_ALL_MISSING)
            return 503, {"error": "the feature store does not answer"}
        self._metrics.read(features)
        if self._fault.strikes():
            return 500, {"error": "the model raised an exception"}
        prediction = score(features)
        self._metrics.scored(prediction)
        return 200, {"prediction": round(prediction, 4), "version": self._version}

    async def _features(self, identifier: str) -> dict[str, float | None] | None:
        if self._store is None:
            return {}
        if self._session is None:
            raise RuntimeError("the application has not started")
        try:
            async with self._session.get(self._store + identifier) as response:
                if response.status != 200:
                    return None
                found: dict[str, float | None] = await response.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def application(environment: Mapping[str, str]) -> web.Application:
    """Return a replica as an application."""
    model = Model(environment)
    made = web.Application()
    made.cleanup_ctx.append(model.lifetime)
    made.router.add_get("/predict", model.predict)
    made.router.add_post("/predict", model.predict)
    made.router.add_get("/metrics", model.metrics)
    made.router.add_post("/admin/fault", model.set_fault)
    return made


if __name__ == "__main__":
    serve.run(application(os.environ))
