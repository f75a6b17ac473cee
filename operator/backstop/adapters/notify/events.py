"""Kubernetes Events about what was decided and done (``events.k8s.io/v1``).

Guarantees: recording never waits and never raises; memory is bounded, and the oldest entry is
dropped first; what happens again within ten minutes raises a count instead of making a new Event.
"""

import asyncio
import contextlib
import socket
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import structlog

from backstop.adapters.paths import namespaced
from backstop.ports import KubeApi, NotFoundError

_log = structlog.get_logger(__name__)

CONTROLLER: Final = "backstop.dev/operator"
REPEAT_SECONDS: Final = 600.0
NOTE_LIMIT: Final = 1_000
_NOTE_BYTES: Final = 1_024
_GROUP_VERSION: Final = "events.k8s.io/v1"
_REMEMBERED: Final = 1_000
_QUEUED: Final = 1_000
_NAME_LIMIT: Final = 128
_REGARDING: Final = ("apiVersion", "kind", "namespace", "name", "uid")

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    body: Mapping[str, Any]
    at: datetime


@dataclass(slots=True)
class _Sent:
    path: str
    count: int
    at: datetime


class EventRecorder:
    """Writes Events from a task of its own, between :meth:`start` and :meth:`close`."""

    def __init__(
        self,
        api: KubeApi,
        *,
        queued: int = _QUEUED,
        remembered: int = _REMEMBERED,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``queued`` and ``remembered`` bound the Events that wait and those that may repeat."""
        self._api = api
        self._now = now
        self._remembered = remembered
        self._queue: deque[_Entry] = deque(maxlen=queued)
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._waiting = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """How many Events were dropped because the API server was slower than they came."""

    def start(self) -> None:
        """Begin to write what is recorded."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="events")

    async def close(self, patience: float = 2.0) -> None:
        """Write what is waiting for at most ``patience`` seconds, then stop."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), patience)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    def record(
        self,
        *,
        regarding: Mapping[str, str],
        reason: str,
        action: str,
        note: str,
        type_: EventType,
        key: str,
    ) -> None:
        """Queue an Event about ``regarding`` (apiVersion, kind, namespace, name, uid).

        ``reason`` and ``action`` are CamelCase words; ``note`` is for a person and is cut at 1,000
        characters; Events with the same ``key`` are repetitions of each other.
        """
        at = self._now()
        body = {
            "apiVersion": _GROUP_VERSION,
            "kind": "Event",
            "eventTime": _micro_time(at),
            "type": type_,
            "reason": reason[:_NAME_LIMIT],
            "action": action[:_NAME_LIMIT],
            "note": _note(note),
            "regarding": {name: regarding[name] for name in _REGARDING if regarding.get(name)},
            "reportingController": CONTROLLER,
            "reportingInstance": socket.gethostname()[:_NAME_LIMIT],
        }
        if len(self._queue) == self._queue.maxlen:
            self.dropped += 1
        self._queue.append(_Entry(key, body, at))
        self._idle.clear()
        self._waiting.set()

    async def _run(self) -> None:
        while True:
            await self._waiting.wait()
            while self._queue:
                entry = self._queue.popleft()
                try:
                    await self._write(entry)
                except Exception as error:  # noqa: BLE001 (one Event never ends the task)
                    _log.warning(
                        "event_not_recorded", reason=entry.body["reason"], error=str(error)
                    )
            self._waiting.clear()
            self._idle.set()

    async def _write(self, entry: _Entry) -> None:
        sent = self._sent.get(entry.key)
        if sent is not None and (entry.at - sent.at).total_seconds() <= REPEAT_SECONDS:
            with contextlib.suppress(NotFoundError):  # it expired, or was deleted
                await self._repeat(sent, entry)
                self._sent.move_to_end(entry.key)
                return
        await self._create(entry)

    async def _repeat(self, sent: _Sent, entry: _Entry) -> None:
        series = {"count": sent.count + 1, "lastObservedTime": _micro_time(entry.at)}
        await self._api.merge_patch(sent.path, {"series": series})
        sent.count += 1
        sent.at = entry.at

    async def _create(self, entry: _Entry) -> None:
        regarding = entry.body["regarding"]
        namespace = regarding.get("namespace", "default")
        name = f"{regarding['name'][:200]}.{uuid.uuid4().hex[:16]}"
        await self._api.create(
            namespaced(_GROUP_VERSION, namespace, "events"),
            {**entry.body, "metadata": {"namespace": namespace, "name": name}},
        )
        path = namespaced(_GROUP_VERSION, namespace, "events", name)
        self._sent[entry.key] = _Sent(path, 1, entry.at)
        self._sent.move_to_end(entry.key)
        while len(self._sent) > self._remembered:
            self._sent.popitem(last=False)


def _note(note: str) -> str:
    # The API server counts bytes.
    return note[:NOTE_LIMIT].encode()[:_NOTE_BYTES].decode(errors="ignore")


def _micro_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
