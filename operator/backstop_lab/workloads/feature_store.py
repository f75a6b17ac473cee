"""The dependency that every version of the model shares: `GET /features/<id>` returns its features.

Run as `python3 -m backstop_lab.workloads.feature_store`. Values follow from the id alone, so that
runs are comparable; about one value in 300 is null, as in real life.
"""

from __future__ import annotations

from zlib import crc32

from aiohttp import web

from backstop_lab.workloads import serve

FEATURES = ("age_days", "clicks_7d", "price")
_ONE_MISSING_IN = 100


def features_of(identifier: str) -> dict[str, float | None]:
    """Return the features of an item by name; each in [0, 1), or None where it is missing."""
    values: dict[str, float | None] = {
        name: crc32(f"{name}/{identifier}".encode()) % 1000 / 1000 for name in FEATURES
    }
    if crc32(f"missing/{identifier}".encode()) % _ONE_MISSING_IN == 0:
        values["clicks_7d"] = None
    return values


async def _answer(request: web.Request) -> web.Response:
    return web.json_response(features_of(request.match_info["id"]))


def application() -> web.Application:
    """Return the feature store as an application."""
    made = web.Application()
    made.router.add_get("/features/{id}", _answer)
    return made


if __name__ == "__main__":
    serve.run(application())
