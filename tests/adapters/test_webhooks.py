"""Calls of other programs: signed, bounded, never redirected, and each failure has one error."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.adapters.receiver import SECRET, Access, Receiver, receiver

from backstop.adapters.destinations import Allowed
from backstop.adapters.webhooks import SignedWebhooks, sign, verify
from backstop.core.messages import WebhookCall
from backstop.ports import ForbiddenError, InvalidError, OutsideError, UnavailableError

NOW = 1_767_225_600.7
BODY = '{"why": "errors above 5 %"}'


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_bytes(SECRET + b"\n")
    return file


def client(place: str, secret_file: Path | None = None, deadline: float = 5.0) -> SignedWebhooks:
    access = Access(Allowed.of([place]), secret_file, deadline)
    return SignedWebhooks(access, now=lambda: NOW)


def call(place: str, path: str = "/hook", timeout: float = 5.0) -> WebhookCall:
    return WebhookCall("a1b2c3", f"http://{place}{path}", BODY, timeout)


async def test_a_call_says_who_calls_and_which_call_it_is(other, secret_file):
    """The signature is the HMAC of timestamp and body, computed here without our code."""
    await client(other.place, secret_file).call(call(other.place, "/hook/x?team=a&b=%2F"))
    (came,) = other.calls
    assert (came.path, came.body.decode()) == ("/hook/x?team=a&b=%2F", BODY)
    digest = hmac.new(SECRET, b"1767225600." + BODY.encode(), hashlib.sha256).hexdigest()
    assert came.headers["Backstop-Signature"] == f"v1={digest}"
    assert came.headers["Backstop-Timestamp"] == "1767225600"
    assert came.headers["Idempotency-Key"] == "a1b2c3"
    assert came.headers["Content-Type"] == "application/json"
    assert verify(SECRET, came.headers, came.body, NOW)


@pytest.mark.parametrize(
    ("secret", "change", "body", "now"),
    [
        (b"another key of some bytes", {}, b"{}", NOW),
        (SECRET, {}, b"{} ", NOW),
        (SECRET, {}, b"{}", NOW + 301),
        (SECRET, {}, b"{}", NOW - 301),
        (SECRET, {"backstop-timestamp": "1767225601"}, b"{}", NOW),
        (SECRET, {"backstop-timestamp": "soon"}, b"{}", NOW),
        (SECRET, {"backstop-timestamp": "²"}, b"{}", NOW),
        (SECRET, {"backstop-signature": ""}, b"{}", NOW),
        (SECRET, {"backstop-signature": "v1=é"}, b"{}", NOW),
    ],
)
def test_a_receiver_recognises_what_is_not_ours(secret, change, body, now):
    """Another key, another body, an old call, or damaged headers do not verify."""
    headers = {
        "backstop-timestamp": "1767225600",
        "backstop-signature": sign(SECRET, "1767225600", b"{}"),
    }
    assert verify(SECRET, headers, b"{}", NOW)
    assert not verify(secret, {**headers, **change}, body, now)


async def test_a_rotated_key_is_used_at_once(other, secret_file):
    """The key is read for each call."""
    webhooks = client(other.place, secret_file)
    await webhooks.call(call(other.place))
    secret_file.write_bytes(b"the next key, just as long")
    await webhooks.call(call(other.place))
    assert verify(SECRET, other.calls[0].headers, other.calls[0].body, NOW)
    assert not verify(SECRET, other.calls[1].headers, other.calls[1].body, NOW)
    assert verify(b"the next key, just as long", other.calls[1].headers, other.calls[1].body, NOW)


@pytest.mark.parametrize("key", [None, b"", b"fifteen bytes !"])
async def test_nothing_is_sent_unsigned_where_a_key_is_configured(other, secret_file, key):
    """Without a usable key the call may work later; the message says which file is wrong."""
    if key is None:
        secret_file.unlink()
    else:
        secret_file.write_bytes(key)
    with pytest.raises(UnavailableError, match=f"cannot be signed: .*{secret_file.name}"):
        await client(other.place, secret_file).call(call(other.place))
    assert other.calls == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidError),
        (401, InvalidError),
        (404, InvalidError),
        (409, InvalidError),
        (422, InvalidError),
        (408, UnavailableError),
        (425, UnavailableError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
async def test_each_status_has_one_error(other, status, error):
    """The error names receiver and status, shows nothing of the answer; the call went out once."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="the database password is hunter2")

    other.answers = [answer]
    with pytest.raises(OutsideError) as caught:
        await client(other.place).call(call(other.place))
    assert type(caught.value) is error
    assert str(caught.value) == f"{other.place} answered HTTP {status}"
    assert len(other.calls) == 1


@pytest.mark.parametrize(
    ("asked", "wait"), [("7", 7.0), ("1e9", 300.0), ("tomorrow", 1.0), ("-3", 1.0), ("nan", 1.0)]
)
async def test_retry_after_is_honoured_within_bounds(other, asked, wait):
    """Seconds that the receiver asks for reach the caller; nonsense means the default."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": asked})

    other.answers = [answer]
    with pytest.raises(UnavailableError) as caught:
        await client(other.place).call(call(other.place))
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/meta-data", "/elsewhere"])
async def test_redirects_are_refused(other, status, to):
    """An answer that points elsewhere is the end of the call, also when it is the same server."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": to})

    other.answers = [answer]
    with pytest.raises(InvalidError, match="redirects elsewhere"):
        await client(other.place).call(call(other.place))
    assert len(other.calls) == 1


async def test_a_slow_receiver_is_given_up(other):
    """The shorter of the two time limits ends the call; it was sent once."""
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    for deadline, timeout in ((0.1, 5.0), (5.0, 0.1)):
        other.answers = [answer]
        with pytest.raises(UnavailableError, match=r"no answer within 0\.1 s"):
            await client(other.place, deadline=deadline).call(call(other.place, timeout=timeout))
    assert len(other.calls) == 2


async def test_an_endless_answer_is_not_read(other):
    """The status is the answer: whatever follows costs neither memory nor time."""
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 2**30:
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    other.answers = [answer]
    await client(other.place).call(call(other.place))
    assert sent < 2**28


async def test_an_answer_without_an_end_is_an_answer(other):
    """A receiver that accepts and then says nothing more has accepted."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(30)
        return response

    other.answers = [answer]
    await client(other.place).call(call(other.place))
    assert len(other.calls) == 1


async def test_a_broken_connection_is_not_repeated(other):
    """A receiver that hangs up may have acted on the call; only the caller may repeat it."""

    async def answer(request: web.Request) -> web.Response:
        request.transport.abort()
        return web.Response()

    other.answers = [answer]
    with pytest.raises(UnavailableError, match="the connection broke"):
        await client(other.place).call(call(other.place))
    assert len(other.calls) == 1


async def test_a_name_is_resolved_by_the_system(other):
    """`localhost`, listed literally, leads to this machine; the receiver sees the name."""
    place = f"localhost:{other.place.rpartition(':')[2]}"
    await client(place).call(call(place))
    assert other.calls[0].headers["Host"] == place


async def test_nobody_listens():
    """A receiver that is down may be up later."""
    async with receiver() as gone:
        place = gone.place
    with pytest.raises(UnavailableError, match=f"{place}: cannot connect"):
        await client(place).call(call(place))


async def test_an_answer_that_is_not_http():
    """A receiver that speaks something else is an error without its words."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(UnavailableError) as caught:
        await client(place).call(call(place))
    server.close()
    assert str(caught.value) == f"{place}: the answer is not HTTP"


async def test_an_untrusted_certificate_is_an_error(other):
    """Over https the receiver proves who it is; one that does not speak TLS cannot."""
    access = Access(Allowed.of([other.place]))
    with pytest.raises(UnavailableError, match="the TLS connection failed"):
        await SignedWebhooks(access).call(WebhookCall("a", f"https://{other.place}/", "{}", 5.0))
    assert other.calls == []


async def test_an_id_cannot_add_headers(other):
    """A line break in the idempotency key is refused, not sent."""
    evil = WebhookCall("a\r\nX-Admin: yes", f"http://{other.place}/", "{}", 5.0)
    with pytest.raises(InvalidError, match="cannot be sent as it is"):
        await client(other.place).call(evil)
    assert other.calls == []


async def test_proxies_of_the_environment_are_ignored(other, monkeypatch):
    """A proxy would dial for us, so none is used."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    await client(other.place).call(call(other.place))
    assert len(other.calls) == 1


async def test_a_host_that_is_not_listed_is_refused(other):
    """The message names the place and the key of the configuration to change."""
    with pytest.raises(ForbiddenError) as caught:
        await client("hooks.example.com").call(call(other.place))
    assert str(caught.value) == (
        f"{other.place} is not allowed: add it to webhooks.allowedHosts in the operator's"
        " configuration"
    )
    assert other.calls == []
