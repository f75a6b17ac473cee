"""Notifications: never in the way, at least once, in order, and pages outlast the rest."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.receiver import SECRET, Access, Receiver, receiver

from backstop.adapters.destinations import Allowed
from backstop.adapters.notify.notifier import Notifications
from backstop.adapters.webhooks import verify
from backstop.api.words import Severity
from backstop.core.messages import Notification, WebhookCall
from backstop.ports import ForbiddenError, InvalidError, UnavailableError

TOLD = Notification(
    id="a1",
    monitor="ml/fraud",
    incident="fraud-20261123-073002",
    severity=Severity.P1,
    title="P1 fraud: release is at fault",
    text="errors at 7 % for 30 s\nApplied: rollback",
    audience="payments",
)
DOWN = UnavailableError("down")


def told(id_: str, monitor: str = "ml/fraud", *, page: bool = False) -> Notification:
    return replace(TOLD, id=id_, monitor=monitor, page=page)


@dataclass
class Line:
    """Webhooks without a network, and a clock that moves when somebody sleeps."""

    answer: Callable[[WebhookCall], Exception | None] = lambda _: None
    calls: list[WebhookCall] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    slept: list[float] = field(default_factory=list)
    time: float = 0.0

    async def call(self, call: WebhookCall) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        failure = self.answer(call)
        if failure is not None:
            raise failure

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def notifications(self, *, page_only: bool = False, **more: Any) -> Notifications:
        return Notifications(
            Access(address="http://chat.example.com/x", page_only=page_only),
            self,
            count=lambda end: self.ends.update([end]),
            now=lambda: 1_767_225_600.25,
            monotonic=lambda: self.time,
            sleep=self.sleep,
            **more,
        )

    @property
    def ids(self) -> list[str]:
        return [call.action_id for call in self.calls]


@contextlib.asynccontextmanager
async def running(notifications: Notifications) -> AsyncIterator[None]:
    task = asyncio.create_task(notifications.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until_empty(notifications: Notifications) -> None:
    async with running(notifications):
        while notifications.pending:  # noqa: ASYNC110 (no event says that a queue is empty)
            await asyncio.sleep(0)


async def test_what_is_sent(tmp_path):
    """One POST, signed, with the id as idempotency key and everything a person needs."""
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    async with receiver() as chat:
        access = real_access(chat, key)
        notifications = Notifications(access, now=lambda: 1_767_225_600.25)
        notifications.notify(TOLD)
        async with running(notifications):
            await chat.wait_for(1)
    (came,) = chat.calls
    assert came.path == "/services/x"
    assert came.headers["Idempotency-Key"] == "a1"
    now = float(came.headers["Backstop-Timestamp"])
    assert verify(SECRET, came.headers, came.body, now)
    assert json.loads(came.body) == {
        "id": "a1",
        "monitor": "ml/fraud",
        "incident": "fraud-20261123-073002",
        "severity": "P1",
        "title": "P1 fraud: release is at fault",
        "text": "errors at 7 % for 30 s\nApplied: rollback",
        "audience": "payments",
        "page": False,
        "sentAt": "2026-01-01T00:00:00.250Z",
    }


def real_access(chat: Receiver, key: Path | None = None) -> Access:
    return Access(
        Allowed.of([chat.place]), secret_file=key, address=f"http://{chat.place}/services/x"
    )


async def test_the_log_has_it_at_once():
    """Also without a receiver, and only once for an id."""
    notifications = Notifications(None)
    with structlog.testing.capture_logs() as logs:
        notifications.notify(TOLD)
        notifications.notify(TOLD)
    (line,) = logs
    assert (line["id"], line["title"], line["severity"]) == ("a1", TOLD.title, "P1")
    assert notifications.pending == 0


async def test_only_pages_when_so_configured():
    """The rest is in the log alone."""
    line = Line()
    notifications = line.notifications(page_only=True)
    notifications.notify(told("a"))
    notifications.notify(told("b", page=True))
    await until_empty(notifications)
    assert line.ids == ["b"]


async def test_an_id_is_delivered_once():
    """While it waits and after it was delivered a repetition is nothing new."""
    line = Line()
    notifications = line.notifications()
    notifications.notify(TOLD)
    notifications.notify(TOLD)
    await until_empty(notifications)
    notifications.notify(TOLD)
    await until_empty(notifications)
    assert line.ids == ["a1"]
    assert line.ends == {"delivered": 1}


async def test_the_memory_of_ids_is_bounded():
    """The oldest is forgotten; being told twice is better than growing."""
    line = Line()
    notifications = line.notifications(remembered=2)
    for id_ in ("a", "b", "c", "c", "a"):
        notifications.notify(told(id_))
        await until_empty(notifications)
    assert line.ids == ["a", "b", "c", "a"]


async def test_a_restart_sends_the_same_again():
    """A new process knows no ids; the receiver recognises the repetition by its key and body."""
    async with receiver() as chat:
        for _ in range(2):
            notifications = Notifications(real_access(chat), now=lambda: 5.0)
            notifications.notify(TOLD)
            async with running(notifications):
                await chat.wait_for(len(chat.calls) + 1)
    first, second = chat.calls
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == "a1"
    assert first.body == second.body


@pytest.mark.parametrize(("page", "patience"), [(False, 600.0), (True, 3600.0)])
async def test_repetitions_grow_apart_and_end(page, patience):
    """1, 2, 5, 15 s, then each minute, for ten minutes; for an hour where somebody is to wake."""
    line = Line(answer=lambda _: DOWN)
    notifications = line.notifications()
    notifications.notify(told("a", page=page))
    with structlog.testing.capture_logs() as logs:
        await until_empty(notifications)
    assert line.slept[:6] == [1.0, 2.0, 5.0, 15.0, 60.0, 60.0]
    assert set(line.slept[4:]) == {60.0}
    assert patience <= line.time < patience + 60
    assert line.ends == {"expired": 1}
    assert logs[-1]["log_level"] == "error"
    assert logs[-1]["error"] == "down"
    assert len({call.payload for call in line.calls}) == 1


async def test_what_was_given_up_may_be_told_again():
    """Only what was delivered is remembered."""
    line = Line(answer=lambda _: DOWN)
    notifications = line.notifications()
    notifications.notify(TOLD)
    await until_empty(notifications)
    line.answer = lambda _: None
    notifications.notify(TOLD)
    await until_empty(notifications)
    assert line.ends == {"expired": 1, "delivered": 1}


async def test_a_receiver_says_when_to_come_back():
    """Its Retry-After is waited for where it is longer."""
    failures: list[Exception | None] = [UnavailableError("busy", 40.0), DOWN, None]
    line = Line(answer=lambda _: failures.pop(0))
    notifications = line.notifications()
    notifications.notify(TOLD)
    await until_empty(notifications)
    assert line.slept == [40.0, 2.0]
    assert line.ends == {"delivered": 1}


@pytest.mark.parametrize("error", [InvalidError("HTTP 400"), ForbiddenError("not allowed")])
async def test_a_refusal_does_not_hold_up_the_next_for_long(error):
    """What the receiver refuses is tried five times, as it may be restarting, pages included."""
    line = Line(answer=lambda call: error if call.action_id == "a" else None)
    notifications = line.notifications()
    notifications.notify(told("a", page=True))
    notifications.notify(told("b"))
    await until_empty(notifications)
    assert line.ids == ["a"] * 5 + ["b"]
    assert line.ends == {"refused": 1, "delivered": 1}


async def test_a_bug_is_a_failed_attempt():
    """An unexpected error ends neither the task nor the notification."""
    failures: list[Exception | None] = [RuntimeError("bug"), None]
    line = Line(answer=lambda _: failures.pop(0))
    notifications = line.notifications()
    notifications.notify(TOLD)
    await until_empty(notifications)
    assert line.ids == ["a1", "a1"]


async def test_a_slow_receiver_holds_up_nobody():
    """`notify` returns while a POST hangs, and other monitors are told meanwhile."""
    stuck = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await stuck.wait()
        return web.Response()

    async with receiver() as chat:
        chat.answers = [hang]
        notifications = Notifications(real_access(chat))
        async with running(notifications):
            notifications.notify(told("a", "ml/one"))
            await chat.wait_for(1)
            notifications.notify(told("b", "ml/one"))
            notifications.notify(told("c", "ml/two"))
            await chat.wait_for(2)
            keys = [one.headers["Idempotency-Key"] for one in chat.calls]
            stuck.set()
            await chat.wait_for(3)
    assert keys == ["a", "c"]
    assert chat.calls[2].headers["Idempotency-Key"] == "b"


async def test_a_broken_connection_is_repeated():
    """The receiver sees the same id again, since nobody knows whether it took the first."""

    async def hang_up(request: web.Request) -> web.Response:
        request.transport.abort()
        return web.Response()

    async with receiver() as chat:
        chat.answers = [hang_up, 503]
        line = Line()
        notifications = Notifications(real_access(chat), sleep=line.sleep)
        notifications.notify(TOLD)
        async with running(notifications):
            await chat.wait_for(3)
    assert {one.headers["Idempotency-Key"] for one in chat.calls} == {"a1"}
    assert line.slept == [1.0, 2.0]


@pytest.mark.parametrize(
    ("pages", "new", "left"),
    [
        ("", "d", "bcd"),
        ("a", "d", "acd"),
        ("ab", "D", "abD"),
        ("abc", "D", "bcD"),
        ("abc", "d", "abc"),
    ],
)
async def test_a_full_queue_drops_the_oldest_that_is_no_page(pages, new, left):
    """Pages stay; among pages alone the newest matters most, and other news come too late."""
    line = Line()
    notifications = line.notifications(queued=3)
    for id_ in "abc":
        notifications.notify(told(id_, page=id_ in pages))
    with structlog.testing.capture_logs() as logs:
        notifications.notify(told(new, page=new.isupper()))
    assert [one["event"] for one in logs if "dropped" in one["event"]] == [
        "notification dropped: too many wait for the receiver"
    ]
    await until_empty(notifications)
    assert line.ids == list(left)
    assert line.ends == {"dropped": 1, "delivered": 3}


async def test_what_is_dropped_while_it_waits_is_not_sent_again():
    """A notification between two attempts makes room like any other."""
    line = Line(answer=lambda call: DOWN if call.action_id == "a" else None)
    notifications = line.notifications(queued=1)

    async def sleep(_: float) -> None:
        notifications.notify(told("b"))

    notifications._sleep = sleep
    notifications.notify(told("a"))
    await until_empty(notifications)
    assert line.ids == ["a", "b"]
    assert line.ends == {"dropped": 1, "delivered": 1}


async def test_the_end_is_delivered_if_possible():
    """`close` tries each once more, without waiting for its turn."""
    line = Line(answer=lambda _: DOWN)
    pause = asyncio.Event()
    notifications = line.notifications()

    async def sleep(_: float) -> None:
        pause.set()
        await asyncio.Event().wait()

    notifications._sleep = sleep
    task = asyncio.create_task(notifications.run())
    notifications.notify(told("a"))
    notifications.notify(told("b"))
    await pause.wait()
    line.answer = lambda _: None
    await notifications.close()
    assert task.cancelled()
    assert line.ids == ["a", "a", "b"]
    assert notifications.pending == 0


async def test_the_end_does_not_wait_for_ever():
    """A receiver that is down or hangs loses what is left, and the log says how many."""
    async with receiver() as chat:
        chat.answers = [503, lambda _: asyncio.Event().wait()]
        notifications = Notifications(real_access(chat))
        for id_ in "abc":
            notifications.notify(told(id_, f"ml/{id_ in 'ab'}"))
        with structlog.testing.capture_logs() as logs:
            await notifications.close(patience=0.2)
    assert logs[-1]["event"] == "notifications not delivered before the end"
    assert logs[-1]["left"] == 3
    await Notifications(None).close()


NEWS = st.tuples(st.sampled_from(["ml/a", "ml/b", "ml/c"]), st.booleans())
FAILURES = st.sampled_from([None, None, DOWN, UnavailableError("busy", 9.0), RuntimeError("bug")])


@given(st.lists(NEWS, max_size=12), st.lists(FAILURES, max_size=12))
async def test_order_holds_per_monitor(news, failures):
    """Whatever fails in between, each monitor's story is told in its order, and nothing is lost."""
    line = Line(answer=lambda _: failures.pop() if failures else None)
    delivered: list[str] = []
    plain = line.call

    async def call(one: WebhookCall) -> None:
        await plain(one)
        delivered.append(one.action_id)

    line.call = call  # type: ignore[method-assign]
    notifications = line.notifications()
    names = [f"{monitor}-{index:02}" for index, (monitor, _) in enumerate(news)]
    for name, (monitor, page) in zip(names, news, strict=True):
        notifications.notify(told(name, monitor, page=page))
    await until_empty(notifications)
    for monitor in ("ml/a", "ml/b", "ml/c"):
        expected = [name for name in names if name.startswith(monitor)]
        assert [name for name in delivered if name.startswith(monitor)] == expected
    assert notifications._lanes == {}
