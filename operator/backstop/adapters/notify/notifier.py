"""Notifications for people: a log line at once, and a signed POST in the background.

Guarantees: :meth:`Notifications.notify` never waits and never raises; what is notified is
delivered at least once while the operator lives and the receiver comes back in time, in order per
monitor, each id once as far as this process remembers; a slow receiver costs a bounded amount of
memory, and pages outlast everything else in the queue.
"""

import asyncio
import contextlib
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

import structlog

from backstop.adapters.webhooks import SignedWebhooks, WebhookAccess
from backstop.core.messages import Notification, WebhookCall
from backstop.ports import ForbiddenError, InvalidError, UnavailableError, Webhooks

_LOG = structlog.get_logger(__name__)

WAITS: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before the first, second ... repetition; the last one holds from then on."""

PATIENCE: Final = 600.0
"""Seconds after which a notification is given up."""

PAGE_PATIENCE: Final = 3600.0
"""The same for a page."""

REFUSALS: Final = 5
"""How often a receiver may refuse a notification (4xx) before it is given up."""

_QUEUED: Final = 1_000
_REMEMBERED: Final = 10_000
_AT_ONCE: Final = 8


class NotificationAccess(WebhookAccess, Protocol):
    """What the configuration says about the receiver of notifications."""

    @property
    def address(self) -> str:
        """The URL that notifications are POSTed to."""
        ...

    @property
    def page_only(self) -> bool:
        """Whether only pages are POSTed."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    notification: Notification
    payload: str
    since: float
    refused: int = 0

    @property
    def patience(self) -> float:
        return PAGE_PATIENCE if self.notification.page else PATIENCE


class Notifications:
    """Implements :class:`backstop.ports.Notifier`; :meth:`run` delivers what was notified.

    Without ``access`` there is no receiver, and notifications are log lines only. ``webhooks``
    sends, by default as ``access`` says; ``count`` is told how each notification for the receiver
    ended: ``delivered``, ``refused``, ``expired`` or ``dropped``. ``queued`` and ``remembered``
    bound the notifications that wait and the ids that were delivered. ``now``, ``monotonic``
    (seconds) and ``sleep`` are for tests.
    """

    def __init__(
        self,
        access: NotificationAccess | None,
        webhooks: Webhooks | None = None,
        *,
        count: Callable[[str], None] = lambda _: None,
        queued: int = _QUEUED,
        remembered: int = _REMEMBERED,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._access = access
        self._webhooks = webhooks or (SignedWebhooks(access) if access else None)
        self._count = count
        self._queued = queued
        self._remembered = remembered
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._lanes: dict[str, deque[_Waiting]] = {}
        self._told: OrderedDict[str, None] = OrderedDict()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """How many notifications wait to be delivered."""
        return len(self._waiting)

    def notify(self, notification: Notification) -> None:
        """Log ``notification`` and queue it, unless its id is pending or was delivered."""
        if notification.id in self._waiting or notification.id in self._told:
            return
        _log(notification)
        if self._access is None or (self._access.page_only and not notification.page):
            self._remember(notification.id)
            return
        if len(self._waiting) >= self._queued and not self._make_room(notification):
            return
        item = _Waiting(notification, _payload(notification, self._now()), self._monotonic())
        self._waiting[notification.id] = item
        self._lanes.setdefault(notification.monitor, deque()).append(item)
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled: monitors beside each other, each in its order."""
        self._running = asyncio.current_task()
        lanes: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for monitor in self._lanes.keys() - lanes:
                    lanes.add(monitor)
                    task = group.create_task(self._drain(monitor), name=f"notify {monitor}")
                    task.add_done_callback(partial(self._left, lanes, monitor))
                await self._wake.wait()

    async def close(self, patience: float = 2.0) -> None:
        """Stop :meth:`run`, then try once more to deliver all, for at most ``patience`` seconds."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*(self._flush(monitor) for monitor in list(self._lanes)))
        if self._waiting:
            _LOG.warning("notifications not delivered before the end", left=len(self._waiting))

    def _left(self, lanes: set[str], monitor: str, _: asyncio.Task[None]) -> None:
        lanes.discard(monitor)
        self._wake.set()

    def _make_room(self, new: Notification) -> bool:
        """Drop the oldest that is not a page, and among pages only the oldest, for a page."""
        items = self._waiting.values()
        oldest = next((one for one in items if not one.notification.page), None)
        if oldest is None and not new.page:
            self._dropped(new)
            return False
        oldest = oldest or next(iter(items))
        self._forget(oldest)
        self._dropped(oldest.notification)
        return True

    def _dropped(self, notification: Notification) -> None:
        self._count("dropped")
        _LOG.warning(
            "notification dropped: too many wait for the receiver",
            id=notification.id,
            monitor=notification.monitor,
            page=notification.page,
        )

    def _forget(self, item: _Waiting) -> None:
        monitor = item.notification.monitor
        self._waiting.pop(item.notification.id, None)
        lane = self._lanes.get(monitor)
        if lane is not None:
            with contextlib.suppress(ValueError):
                lane.remove(item)
            if not lane:
                del self._lanes[monitor]

    def _remember(self, id_: str) -> None:
        self._told[id_] = None
        while len(self._told) > self._remembered:
            self._told.popitem(last=False)

    async def _drain(self, monitor: str) -> None:
        while lane := self._lanes.get(monitor):
            item = lane[0]
            tries = 0
            while self._is_waiting(item):
                wait = await self._try(item)
                if wait is None or not self._is_waiting(item):
                    break
                await self._sleep(max(WAITS[min(tries, len(WAITS) - 1)], wait))
                tries += 1

    async def _flush(self, monitor: str) -> None:
        while lane := self._lanes.get(monitor):
            if await self._try(lane[0]) is not None:
                return

    def _is_waiting(self, item: _Waiting) -> bool:
        return self._waiting.get(item.notification.id) is item

    async def _try(self, item: _Waiting) -> float | None:
        """POST once; return None at the end of ``item``, else the least wait until a repetition."""
        wait = 0.0
        try:
            await self._post(item)
        except (InvalidError, ForbiddenError) as error:
            item.refused += 1
            if item.refused >= REFUSALS:
                self._give_up(item, "refused", error)
                return None
            failure: Exception = error
        except Exception as error:  # noqa: BLE001 (one notification never ends the task)
            wait = error.retry_after if isinstance(error, UnavailableError) else 0.0
            failure = error
        else:
            self._end(item, "delivered")
            return None
        if self._monotonic() - item.since >= item.patience:
            self._give_up(item, "expired", failure)
            return None
        _LOG.warning("notification not delivered yet", id=item.notification.id, error=str(failure))
        return wait

    async def _post(self, item: _Waiting) -> None:
        if self._access is None or self._webhooks is None:
            return
        url, deadline = self._access.address, self._access.deadline
        async with self._at_once:
            await self._webhooks.call(
                WebhookCall(item.notification.id, url, item.payload, deadline)
            )

    def _give_up(self, item: _Waiting, result: str, error: Exception) -> None:
        if self._is_waiting(item):
            _LOG.error(
                "notification given up",
                id=item.notification.id,
                monitor=item.notification.monitor,
                page=item.notification.page,
                error=str(error),
            )
        self._end(item, result)

    def _end(self, item: _Waiting, result: str) -> None:
        if self._is_waiting(item):  # it may have been dropped meanwhile, and counted as that
            self._count(result)
            self._forget(item)
        if result == "delivered":
            self._remember(item.notification.id)


def _log(notification: Notification) -> None:
    _LOG.warning(
        "notification",
        id=notification.id,
        monitor=notification.monitor,
        incident=notification.incident,
        severity=notification.severity.value,
        title=notification.title,
        text=notification.text,
        audience=notification.audience,
        page=notification.page,
    )


def _payload(notification: Notification, now: float) -> str:
    # Made once, so that repetitions are the same to the byte.
    sent_at = datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="milliseconds")
    return json.dumps(
        {
            "id": notification.id,
            "monitor": notification.monitor,
            "incident": notification.incident,
            "severity": notification.severity.value,
            "title": notification.title,
            "text": notification.text,
            "audience": notification.audience,
            "page": notification.page,
            "sentAt": sent_at.replace("+00:00", "Z"),
        }
    )
