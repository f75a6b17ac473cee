"""Plays one scenario: waits until all is well, injects the fault, watches, and repairs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from backstop.adapters.kube import KubernetesApi
from backstop.api.modelmonitor import Mode
from backstop.api.words import Verdict
from backstop_lab.demo import narrate, results
from backstop_lab.demo.cluster import Cluster
from backstop_lab.demo.display import Display, Moment
from backstop_lab.demo.environment import DemoError
from backstop_lab.demo.processes import Child
from backstop_lab.demo.records import RecordReader
from backstop_lab.demo.scenarios.scenario import Scenario, not_ready
from backstop_lab.demo.snapshot import Snapshot
from backstop_lab.demo.story import Story, unmet

_LOOK_EVERY_SECONDS = 0.3
_READY_SECONDS = 90.0
_USERS_SEE_SECONDS = 2.0
_SUFFERING = 0.02
_ANSWERS_ARRIVE_SECONDS = 0.5
_CALM_SECONDS = 2.0


class Stage:
    """Where the scenarios are played. `children` are the processes that must be alive for it."""

    def __init__(
        self, api: KubernetesApi, reader: RecordReader, display: Display, children: Sequence[Child]
    ) -> None:
        self._cluster = Cluster(api, self.note)
        self._reader = reader
        self._display = display
        self._children = children
        self._notes: list[tuple[float, str]] = []
        self._last: Snapshot | None = None
        self._suffering = False
        self._label = "starting"

    def note(self, text: str) -> None:
        """Add a line to the timeline of the terminal and of the report."""
        self._notes.append((time.time(), text))
        self._display.note(text)

    async def set_mode(self, mode: Mode) -> None:
        """Set what Backstop may do from now on."""
        await self._cluster.set_mode(mode.value)

    async def play(
        self, scenario: Scenario, mode: Mode, lasting: float | None = None
    ) -> results.Result:
        """Play `scenario` until its checks are met, or for `lasting` seconds where that is given.

        Raises DemoError when the cluster does not become ready for it.
        """
        self._label = f"{scenario.title} ({mode})"
        self._display.note(f"── {self._label}")
        await scenario.prepare(self._cluster)
        before = await self._ready(mode)
        story = Story(time.time(), before)
        try:
            self.note("fault injected")
            await scenario.inject(self._cluster)
            await self._watch(scenario, story, lasting)
        finally:
            # Also when interrupted: what lies outside of the demo's namespace must be put back.
            await scenario.repair(self._cluster, story.now)
        await asyncio.sleep(_ANSWERS_ARRIVE_SECONDS)
        return self._conclude(scenario, mode, story)

    async def _watch(self, scenario: Scenario, story: Story, lasting: float | None) -> None:
        well_since: float | None = None
        while True:
            story.since.append(await self._look())
            elapsed = story.now.at - story.injected
            await scenario.during(self._cluster, elapsed)
            if lasting is None:
                checks = scenario.checks(story)
                well_since = None if unmet(checks) else well_since or elapsed
                calm = well_since is not None and elapsed - well_since >= _CALM_SECONDS
                over = calm or elapsed >= scenario.deadline or any(one.broken for one in checks)
            else:
                over = elapsed >= lasting
            if over:
                return
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _conclude(self, scenario: Scenario, mode: Mode, story: Story) -> results.Result:
        missing = unmet(scenario.checks(story)) if mode is Mode.ACT else []
        result = results.conclude(
            scenario=scenario.name,
            title=scenario.title,
            mode=mode.value,
            story=story,
            records=self._reader.read(),
            detected=scenario.detected_at(story),
            unmet=missing,
            notes=[(at, text) for at, text in self._notes if story.injected <= at <= story.now.at],
        )
        tally = result.requests
        self._display.note(
            f"{'ended well' if result.ended_well else 'DID NOT END WELL'} after"
            f" {result.lasted:.1f} s; {tally.failed} of {tally.requests} requests failed"
        )
        for text in missing:
            self._display.note(f"not seen: {text}")
        return result

    async def _ready(self, mode: Mode) -> Snapshot:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            now = await self._look()
            why = not_ready(now) if mode is Mode.ACT else _not_quiet(now, suffering=self._suffering)
            if not why:
                return now
            if time.monotonic() > deadline:
                raise DemoError(f"not ready for the fault after {_READY_SECONDS:.0f} s: {why}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _look(self) -> Snapshot:
        for child in self._children:
            child.require_alive()
        now = await self._cluster.read()
        if self._last is not None:
            for line in narrate.changes(self._last, now):
                self.note(line)
        self._last = now
        ratio = self._reader.recent(_USERS_SEE_SECONDS, now.at).ratio
        if (ratio > _SUFFERING) is not self._suffering:
            self._suffering = not self._suffering
            self.note(
                f"users see {ratio:.0%} errors" if self._suffering else "users are well again"
            )
        self._display.show(Moment(self._label, ratio, now))
        return now


def _not_quiet(now: Snapshot, *, suffering: bool) -> str:
    """Observe needs less: the verdict may still look back on the last fault."""
    if not now.rolled_out:
        return "waiting for the rollout"
    if now.monitor.verdict is Verdict.UNKNOWN and not now.monitor.signals:
        return "waiting for the first look"
    return "waiting until users see no errors" if suffering else ""
