"""The references that rules name, read from ConfigMaps of the monitor's own namespace.

A ConfigMap is read by its name only, at most about once a minute, and never while a round waits: a
look uses what is known. Few are read at a time, since others need the API server, too. What is
missing, forbidden or damaged becomes a sentence for the verdict. A reference that was read stays
good while the API server cannot be reached.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import structlog

from backstop.adapters.paths import namespaced
from backstop.core.measurement import Missing, UnknownReason
from backstop.core.reference import DamagedError, Reference, parse
from backstop.ports import (
    Clock,
    ForbiddenError,
    KubeApi,
    NotFoundError,
    OutsideError,
    UnavailableError,
)
from backstop.runtime.record import Record

_LOG = structlog.get_logger(__name__)

KEPT: Final = 60.0
"""Seconds after which a ConfigMap is read again."""

FORGOTTEN: Final = 3600.0
"""Seconds after which one that nobody asks for is dropped."""

AT_ONCE: Final = 8
"""How many ConfigMaps are read at the same time."""

Place = tuple[str, str]
"""A namespace and the name of a ConfigMap in it."""

Known = Reference | Missing


@dataclass(slots=True)
class _Kept:
    """What is known of one ConfigMap: since when, in which version, and when it was asked for."""

    known: Known
    version: str
    read_at: float
    asked_at: float


@dataclass(slots=True)
class References:
    """A cache of references."""

    api: KubeApi
    clock: Clock
    _kept: dict[Place, _Kept] = field(default_factory=dict)
    _reading: dict[Place, asyncio.Task[None]] = field(default_factory=dict)
    _tidied: float = 0.0
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def of(self, record: Record) -> Mapping[str, Known]:
        """Return what is known of all that ``record`` names, and begin to read what is old."""
        names = {one.rule.config_map for one in record.inquiries.values()} - {None}
        if not names:
            return _NOTHING
        now = self.clock.now()
        self._forget(now)
        found: dict[str, Known] = {}
        for name in names:
            place = (record.namespace, str(name))
            kept = self._kept.get(place)
            if kept is not None:
                kept.asked_at = now
                found[place[1]] = kept.known
            if (kept is None or now >= kept.read_at + KEPT) and place not in self._reading:
                self._reading[place] = asyncio.create_task(self._read(place))
        return found

    async def settle(self) -> None:
        """Wait until nothing is being read."""
        while self._reading:
            await asyncio.gather(*self._reading.values())

    def _forget(self, now: float) -> None:
        if now < self._tidied + KEPT:
            return
        self._tidied = now
        old = [place for place, one in self._kept.items() if now >= one.asked_at + FORGOTTEN]
        for place in old:
            del self._kept[place]

    async def _read(self, place: Place) -> None:
        try:
            path = namespaced("v1", place[0], "configmaps", place[1])
            async with self._turns:
                body = await self.api.get(path)
            self._learn(place, body)
        except OutsideError as error:
            self._miss(place, error)
        except Exception:  # noqa: BLE001 - a bug here must not leave a signal waiting for ever
            _LOG.exception("reference not read", namespace=place[0], name=place[1])
            said = f"ConfigMap {place[1]} cannot be read because of a bug in Backstop"
            self._keep(place, Missing(UnknownReason.SOURCE_DOWN, said), "")
        finally:
            del self._reading[place]

    def _learn(self, place: Place, body: Mapping[str, Any]) -> None:
        version = str(body.get("metadata", {}).get("resourceVersion", ""))
        kept = self._kept.get(place)
        if kept is not None and version and kept.version == version:
            self._keep(place, kept.known, version)
            return
        try:
            known: Known = parse(body.get("data"))
        except DamagedError as error:
            known = Missing(UnknownReason.BAD_QUERY, f"ConfigMap {place[1]}: {error}")
        self._keep(place, known, version)

    def _miss(self, place: Place, error: OutsideError) -> None:
        kept = self._kept.get(place)
        if isinstance(error, UnavailableError) and kept and isinstance(kept.known, Reference):
            self._keep(place, kept.known, kept.version)
            return
        self._keep(place, _missing(place, error), "")

    def _keep(self, place: Place, known: Known, version: str) -> None:
        now, kept = self.clock.now(), self._kept.get(place)
        self._kept[place] = _Kept(known, version, now, kept.asked_at if kept else now)


_NOTHING: Final[Mapping[str, Known]] = MappingProxyType({})


def _missing(place: Place, error: OutsideError) -> Missing:
    namespace, name = place
    if isinstance(error, NotFoundError):
        return Missing(
            UnknownReason.NO_DATA,
            f"ConfigMap {name} does not exist in namespace {namespace}; create it with"
            " `backstop reference build`, or correct its name",
        )
    if isinstance(error, ForbiddenError):
        return Missing(UnknownReason.SOURCE_DOWN, f"ConfigMap {name} may not be read: {error}")
    return Missing(UnknownReason.SOURCE_DOWN, f"ConfigMap {name} cannot be read: {error}")
