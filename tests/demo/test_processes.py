"""The load never waits for the server, and no process outlives the demo."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from backstop_lab.demo.environment import DemoError
from backstop_lab.demo.processes import running
from backstop_lab.demo.records import NO_ANSWER, Record, RecordReader

RATE = 50.0
PYTHON = sys.executable


async def serve(handler: web.RequestHandler) -> tuple[web.AppRunner, str]:  # type: ignore[type-arg]
    application = web.Application()
    application.router.add_get("/predict", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def records_of(url: str, path: Path, *, count: int) -> list[Record]:
    """Run the load process against `url` until `count` records are there, and then end it."""
    command = [PYTHON, "-m", "backstop_lab.demo.load", "--url", url, "--host", "a.test"]
    arguments = ["--rate", str(RATE), "--out", str(path)]
    reader = RecordReader(path)
    async with running("load", [*command, *arguments], path.with_suffix(".log")) as child:
        async with asyncio.timeout(20):
            while len(reader.read()) < count:
                child.require_alive()
                await asyncio.sleep(0.05)
    return list(reader.read())


async def test_requests_carry_the_host_and_are_recorded_with_who_answered(tmp_path: Path) -> None:
    """Status, version and pod are the server's; requests are due at the fixed distance."""
    hosts: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        hosts.add(request.host)
        return web.Response(status=503, headers={"x-model-version": "v2", "x-served-by": "pod-1"})

    runner, url = await serve(answer)  # type: ignore[arg-type]
    seen = await records_of(url, tmp_path / "requests.csv", count=20)
    await runner.cleanup()
    assert hosts == {"a.test"}
    assert {(one.status, one.version, one.served_by) for one in seen} == {(503, "v2", "pod-1")}
    due = sorted(one.start for one in seen)
    gaps = {round(later - earlier, 3) for earlier, later in pairwise(due)}
    assert gaps == {1 / RATE}


async def test_a_server_that_hangs_does_not_slow_the_load_down(tmp_path: Path) -> None:
    """Requests stay due at the fixed rate while none is answered, and count as unanswered."""
    never = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    runner, url = await serve(hang)  # type: ignore[arg-type]
    seen = await records_of(url, tmp_path / "requests.csv", count=10)
    await runner.cleanup()
    assert {one.status for one in seen} == {NO_ANSWER}
    due = sorted(one.start for one in seen)
    assert due[9] - due[0] == pytest.approx(9 / RATE, abs=0.01)


async def test_a_process_ends_with_its_context_even_if_it_ignores_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the demo must leave nothing behind."""
    monkeypatch.setattr("backstop_lab.demo.processes._STOP_SECONDS", 0.2)
    deaf = "import signal,time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)"
    log = tmp_path / "deaf.log"
    async with running("deaf", [PYTHON, "-c", f"{deaf}; time.sleep(600)"], log) as child:
        async with asyncio.timeout(10):
            while "deaf" not in log.read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
        child.require_alive()
    with pytest.raises(DemoError, match="code -9"):
        child.require_alive()


async def test_a_process_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    """The person sees why, without looking for a file."""
    script = "import sys; sys.exit('no metrics source')"
    async with running("backstop", [PYTHON, "-c", script], tmp_path / "b.log") as child:
        async with asyncio.timeout(10):
            while True:
                try:
                    child.require_alive()
                except DemoError as error:
                    said = str(error)
                    break
                await asyncio.sleep(0.02)
    assert "backstop ended with code 1" in said
    assert "no metrics source" in said
