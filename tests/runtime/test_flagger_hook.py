"""Flagger's rollback hook: success only for what a rollback would help, and never for a doubt."""

from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from tests.core.build import T0, episode, spec, status

from backstop.api.modelmonitor import Mode
from backstop.api.words import Arm, Cause
from backstop.core.shards import ALL, Shard, shard_of
from backstop.runtime import health
from backstop.runtime.flagger_hook import Answer, Monitor, answer, routes

ACTS = spec(mode=Mode.ACT)


def monitor(**changes: object) -> Monitor:
    """Return a monitor in mode Act with an open incident that is blamed on the release."""
    return Monitor(ACTS, status(incident=episode(**changes).to_json()))


@pytest.mark.parametrize("arm", list(Arm))
@pytest.mark.parametrize("cause", list(Cause))
def test_the_whole_table(arm, cause):
    """It calls for a rollback where the candidate or the release is at fault, and nowhere else."""
    blamed = arm is Arm.CANDIDATE or cause is Cause.RELEASE
    found = answer(monitor(arm=arm, cause=cause))
    assert found.code == (200 if blamed else 403)
    assert "fraud-20231114-221320" in found.why
    assert ("errors 50 %" in found.why) is blamed


@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        (None, 404, "correct namespace and name"),
        (Monitor(None, monitor().status), 403, "is invalid"),
        (Monitor(ACTS, status()), 403, "no incident is open"),
        (monitor(resolved=T0 + 60), 403, "no incident is open"),
        (monitor()._replace(spec=spec(mode=Mode.OBSERVE)), 403, "in mode Observe"),
        (monitor()._replace(spec=spec(mode=Mode.APPROVE)), 403, "in mode Approve"),
        (monitor()._replace(spec=spec(mode=Mode.ACT, suspend=True)), 403, "suspended"),
        (
            Monitor(ACTS, status(incident=episode().to_json(), held="the kill switch is on")),
            403,
            "actions are held: the kill switch is on",
        ),
    ],
)
def test_what_is_no_reason(asked, code, why):
    """Without an open incident, or where Backstop may not act, Flagger is told to go on."""
    found = answer(asked)
    assert found.code == code
    assert why in found.why


async def ask(
    find: Callable[[str, str], Monitor | None],
    path: str,
    *,
    acts: bool = True,
    shard: Shard = ALL,
) -> list[Answer]:
    """Return the answers to POST, as Flagger sends it, and to GET."""
    app = web.Application()
    app.add_routes(routes(find, acts=lambda: acts, shard=shard))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    payload = {"name": "fraud", "namespace": "demo", "phase": "Progressing", "checksum": "85d557"}
    try:
        async with aiohttp.ClientSession() as session:
            sent = [await session.post(url, json=payload), await session.get(url)]
            return [Answer(one.status, await one.text()) for one in sent]
    finally:
        await runner.cleanup()


async def test_over_http():
    """The monitor is the one in the path, and POST and GET say the same."""
    known = {("demo", "fraud"): monitor()}
    find = lambda namespace, name: known.get((namespace, name))  # noqa: E731 (a fake of one line)
    first, second = await ask(find, "/flagger/rollback/demo/fraud")
    assert first == second == answer(monitor())
    assert first.code == 200
    assert [one.code for one in await ask(find, "/flagger/rollback/other/fraud")] == [404, 404]


async def test_a_replica_on_standby():
    """A replica that does not act does not know, and does not look."""

    def find(namespace: str, name: str) -> Monitor | None:
        raise AssertionError(f"looked for {namespace}/{name}")

    found = await ask(find, "/flagger/rollback/demo/fraud", acts=False)
    assert [one.code for one in found] == [503, 503]


@pytest.mark.parametrize("acts", [True, False])
async def test_a_replica_of_another_shard(acts):
    """It says which shard to ask, whether it acts or stands by."""
    own = shard_of("demo", "fraud", 3)
    path = "/flagger/rollback/demo/fraud"
    right = await ask(lambda *_: monitor(), path, acts=acts, shard=Shard(own, 3))
    assert [one.code for one in right] == ([200] * 2 if acts else [503] * 2)
    other = Shard((own + 1) % 3, 3)
    wrong = await ask(lambda *_: None, path, acts=acts, shard=other)
    said = f"demo/fraud is of shard {own}/3, this is {other}; ask that one"
    assert wrong == [Answer(421, said)] * 2


async def test_on_the_health_port():
    """The hook is served beside the probes, on the same port."""
    hook = routes(lambda *_: monitor(), acts=lambda: True, shard=ALL)
    runner = await health.serve("127.0.0.1", 0, alive=lambda: True, ready=lambda: False, more=hook)
    root = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            assert (await session.post(f"{root}/flagger/rollback/demo/fraud")).status == 200
            assert (await session.get(f"{root}/livez")).status == 200
            assert (await session.get(f"{root}/readyz")).status == 503
    finally:
        await runner.cleanup()
