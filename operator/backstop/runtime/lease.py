"""One active replica: a Lease held by whoever renews it.

Clocks of different machines are never compared. A lease is considered lost by its holder when its
own monotonic clock says that renewing took too long, and free for others when its record has not
changed for its duration as they observe it; they look just when that is over. A lease is no fence:
every write also carries a precondition, so a deposed holder cannot do harm.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from backstop.ports import ConflictError, KubeApi, NotFoundError, OutsideError

_LOG = structlog.get_logger(__name__)


@dataclass(slots=True)
class Lease:
    """Competes for the Lease ``name`` in ``namespace`` as ``identity``; times are in seconds.

    The holder renews each ``renew``; others look each ``retry``, so that they see soon that it was
    given up.
    """

    api: KubeApi
    namespace: str
    name: str
    identity: str
    duration: float = 10.0
    renew: float = 2.0
    retry: float = 1.0
    held: bool = False
    _renewed: float = 0.0
    _seen: tuple[str, float] = field(default=("", 0.0))

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    async def run(self, gained: Callable[[], Awaitable[None]], lost: Callable[[], None]) -> None:
        """Hold the lease as long as possible; call ``gained`` and ``lost`` as that changes.

        It is renewed while ``gained`` lasts, which is broken off when the lease is lost meanwhile.
        """
        beginning: asyncio.Future[None] | None = None
        try:
            while True:
                holding = await self._holds()
                if holding and not self.held:
                    self.held = True
                    beginning = asyncio.ensure_future(gained())
                elif self.held and not holding:
                    self.held = False
                    await _broken_off(beginning)
                    beginning = None
                    lost()
                if beginning is not None:
                    await asyncio.wait({beginning}, timeout=self._pause())
                    if not beginning.done():
                        continue
                    await self._begun(beginning)
                    beginning = None
                await asyncio.sleep(self._pause())
        finally:
            await _broken_off(beginning)

    async def _holds(self) -> bool:
        """Try to take or to renew the lease, and return whether it is held."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self.duration * 0.6):
                holding = await self._try()
        except (OutsideError, TimeoutError) as error:
            _LOG.warning("lease not renewed", error=str(error) or "timed out")
            return self.held and time.monotonic() - self._renewed < self.duration * 0.8
        self._renewed = asked if holding else self._renewed
        return holding

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have taken the lease: no pause since the last renewal was long.

        After a pause of the whole process this is false before anything else has run.
        """
        return self.held and time.monotonic() - self._renewed < self.duration

    def _pause(self) -> float:
        """Return for how long to wait: until the next renewal, or until another's record is old."""
        if self.held:
            return self.renew
        version, since = self._seen
        left = since + self.duration - time.monotonic() if version else self.retry
        return min(self.retry, max(left, 0.05))

    async def _begun(self, beginning: asyncio.Future[None]) -> None:
        try:
            beginning.result()
        except OutsideError as error:
            _LOG.warning("cannot act yet", error=str(error))
            await self.release()

    async def _try(self) -> bool:
        path = f"{self._collection}/{self.name}"
        try:
            lease = await self.api.get(path)
        except NotFoundError:
            return await self._create()
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self.identity} and not self._expired(lease):
            return False
        self._seen = ("", 0.0)
        return await self._write(path, lease, took_over=holder != self.identity)

    def _expired(self, lease: dict[str, Any]) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
            return False
        duration = lease["spec"].get("leaseDurationSeconds") or self.duration
        return time.monotonic() - self._seen[1] >= float(duration)

    def _record(self) -> dict[str, Any]:
        now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self.duration),
            "renewTime": now,
        }

    async def _create(self) -> bool:
        record = self._record()
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {**record, "acquireTime": record["renewTime"], "leaseTransitions": 0},
        }
        try:
            await self.api.create(self._collection, body)
        except ConflictError:
            return False
        return True

    async def _write(self, path: str, lease: dict[str, Any], *, took_over: bool) -> bool:
        record = self._record()
        if took_over:
            record["acquireTime"] = record["renewTime"]
            record["leaseTransitions"] = int(lease["spec"].get("leaseTransitions") or 0) + 1
        metadata = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        try:
            await self.api.merge_patch(path, {"metadata": metadata, "spec": record})
        except ConflictError:
            return False
        return True

    async def release(self) -> None:
        """Give the lease up, so that another replica takes over at once."""
        if not self.held:
            return
        self.held = False
        path = f"{self._collection}/{self.name}"
        try:
            lease = await self.api.get(path)
            if lease["spec"].get("holderIdentity") == self.identity:
                version = {"resourceVersion": lease["metadata"]["resourceVersion"]}
                freed = {"metadata": version, "spec": {"holderIdentity": ""}}
                await self.api.merge_patch(path, freed)
        except OutsideError as error:
            _LOG.warning("lease not released", error=str(error))


async def _broken_off(beginning: asyncio.Future[None] | None) -> None:
    if beginning is not None:
        beginning.cancel()
        await asyncio.wait({beginning})
