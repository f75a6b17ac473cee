"""Asking a source in tests."""

import asyncio

from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.core.samples import Reading


async def ask(source: PrometheusSource, query: str = "up") -> Reading:
    """Read one query, in a time that no misbehaviour can stretch."""
    async with asyncio.timeout(10):
        return (await source.read([query]))[query]
