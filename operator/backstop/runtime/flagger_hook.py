"""Tells Flagger to roll back: what its rollback webhook asks for at each tick of an analysis.

Flagger rolls back when the webhook answers with success and goes on when it does not. So the
answer is 200 only where the evidence blames the version under analysis and Backstop may act: an
incident that both versions share would not end by a rollback. What is unknown is no success.

A Canary names the hook in its analysis, with the address of the operator's health port::

    webhooks:
      - name: backstop
        type: rollback
        url: http://backstop.backstop-system:8080/flagger/rollback/<namespace>/<monitor>

Only the replica that acts on the monitor knows the evidence. A standby answers 503, a replica of
another shard 421 and which shard to ask; neither rolls anything back, and Flagger asks again at its
next tick.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm, Cause
from backstop.core.episode import under_way
from backstop.core.shards import Shard, shard_of

PATH: Final = "/flagger/rollback/{namespace}/{monitor}"
"""Where the hook is served; Flagger sends POST, and people can GET the same answer."""


class Monitor(NamedTuple):
    """What the answer depends on; ``spec`` is ``None`` while it is invalid."""

    spec: ModelMonitorSpec | None
    status: ModelMonitorStatus


class Answer(NamedTuple):
    """A status code of HTTP, and why, in one sentence."""

    code: int
    why: str


def answer(monitor: Monitor | None) -> Answer:
    """Return 200 where the newest version is to be rolled back, else 403 (404: no such monitor)."""
    if monitor is None:
        return Answer(404, "no such ModelMonitor: correct namespace and name in the webhook's URL")
    episode = under_way(monitor.status)
    passive = _passive(monitor.spec)
    if passive or episode is None:
        return Answer(403, passive or "no incident is open")
    if episode.arm is not Arm.CANDIDATE and episode.cause is not Cause.RELEASE:
        said = f"incident {episode.name} is blamed on {episode.cause}, not on the newest version"
        return Answer(403, said)
    if monitor.status.held:
        said = f"incident {episode.name} is open, but actions are held: {monitor.status.held}"
        return Answer(403, said)
    return Answer(200, f"roll back: incident {episode.name}: {episode.why}")


def _passive(spec: ModelMonitorSpec | None) -> str:
    """Return why a monitor may not act at all, empty where it may."""
    if spec is None:
        return "the spec of the ModelMonitor is invalid, so nothing is known"
    if spec.suspend:
        return "the ModelMonitor is suspended, so it changes nothing"
    if spec.mode is not Mode.ACT:
        return f"the ModelMonitor is in mode {spec.mode}, so it changes nothing by itself"
    return ""


def routes(
    find: Callable[[str, str], Monitor | None], *, acts: Callable[[], bool], shard: Shard
) -> list[web.RouteDef]:
    """Return the routes of the hook, for the application that serves the health port.

    ``find`` returns a monitor by namespace and name; ``acts`` says whether this replica is the one
    of its ``shard`` that acts.
    """

    async def rollback(request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["monitor"]
        if not shard.owns(namespace, name):
            owner = Shard(shard_of(namespace, name, shard.count), shard.count)
            said = f"{namespace}/{name} is of shard {owner}, this is {shard}; ask that one"
            return web.Response(text=said, status=421)
        if not acts():
            return web.Response(text="another replica acts; ask again", status=503)
        found = answer(find(namespace, name))
        return web.Response(text=found.why, status=found.code)

    return [web.post(PATH, rollback), web.get(PATH, rollback)]
