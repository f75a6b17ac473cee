"""One pass over one monitor: judge, decide, journal, act, show.

The order is fixed: what is unfinished is finished first; then the decision; then the step with its
intent; only then conditions, Incident and Events. A pass that fails leaves the monitor as it was
and is repeated; it never affects another monitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from backstop.api.conditions import ConditionType, Reason
from backstop.api.modelmonitor import Mode
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import StepKind, Verdict
from backstop.core import cadence, journal, weights
from backstop.core.brakes import HoldKind
from backstop.core.conditions import Problem, metric_problems, summarize
from backstop.core.decide import decide
from backstop.core.episode import under_way
from backstop.core.evidence import without_answered
from backstop.core.facts import RouteFacts, WorkloadFacts
from backstop.core.samples import Reading
from backstop.core.verdicts import Look
from backstop.core.view import Decision, Step, View, parting
from backstop.ports import Clock, ConflictError, ForbiddenError, NotFoundError, OutsideError
from backstop.runtime import incident_metrics
from backstop.runtime.act import Actor, StoppedError, Write
from backstop.runtime.actions.performer import Learn
from backstop.runtime.default_prediction import DefaultPredictions
from backstop.runtime.fleet import FleetState
from backstop.runtime.glance import Glance, look_at
from backstop.runtime.journal import Journal
from backstop.runtime.publish import Publisher
from backstop.runtime.record import FINALIZER, Record
from backstop.runtime.restore import put_back
from backstop.runtime.rights import Rights
from backstop.runtime.runbooks import Known
from backstop.runtime.survey import Survey, Surveyor

_LOG = structlog.get_logger(__name__)

READINGS_EVERY = 1.0
"""Seconds between writes of a status in which only verdicts changed."""

RESTORE_WITHIN = 60.0
"""Seconds for which a deleted monitor is kept because its traffic cannot be put back."""

STEPS_PER_PASS = 4
"""A mitigation, the repair that follows it and a word about them need no look in between."""

LOOK_AT_STOPPED = 5.0
"""Seconds until the kill switch is looked at again."""


class Gone(Exception):  # noqa: N818 - a result, not an error
    """The monitor does not exist any more."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Carries out passes with the parts it is given."""

    actor: Actor
    surveyor: Surveyor
    fleet: FleetState
    journal: Journal
    publisher: Publisher
    responders: DefaultPredictions
    rights: Rights
    clock: Clock

    async def reconcile(
        self, record: Record, readings: Mapping[str, Reading], seen: Glance | None = None
    ) -> float:
        """Carry out one pass, and return the Unix time at which the next is due.

        ``seen`` is what the monitor was judged to be together with all others of the round.

        Raises:
            Gone: the monitor was deleted; there is nothing more to do.
            ConflictError: somebody else changed the monitor; it was read again, repeat the pass.
            OutsideError: the API server failed; repeat the pass later.
        """
        try:
            return await self._pass_or_gone(record, readings, seen)
        except Gone:
            record.gone = True
            self.fleet.forget(record.key)
            raise
        finally:
            if record.deleted_at is None and not record.gone:
                self.fleet.update(record)

    async def _pass_or_gone(
        self, record: Record, readings: Mapping[str, Reading], seen: Glance | None
    ) -> float:
        try:
            return await self._pass(record, readings, seen)
        except NotFoundError:
            raise Gone from None
        except ConflictError:
            await self._read_again(record)
            raise

    async def _read_again(self, record: Record) -> None:
        try:
            await self.journal.refresh(record)
        except NotFoundError:
            raise Gone from None

    async def _pass(
        self, record: Record, readings: Mapping[str, Reading], glanced: Glance | None
    ) -> float:
        if record.deleted_at is not None:
            return await self._let_go(record)
        if record.invalid is not None or record.spec is None:
            return await self._show_invalid(record)
        if record.spec.suspend:
            return await self._show_suspended(record)
        runbook = await self.surveyor.runbooks.of(record)
        problems = [*await self._hold(record), *await self.responders.ensure(record)]
        problems.extend([runbook.problem] if runbook.problem else [])
        problems.extend(self.rights.problems(record, runbook.steps))
        around = await self._survey(record, runbook)
        if around.route is not None and record.services is not None:
            record.weight = weights.candidate_share(around.route.rules, record.services)
        try:
            await self._finish_planned(record, around)
        except StoppedError as error:
            incident_metrics.held(record, HoldKind.KILL_SWITCH)
            return await self._show_stopped(record, str(error), [*around.problems, *problems])
        seen, decision, around = await self._decide_and_act(record, readings, around, glanced)
        record.rules = around.route.rules if around.route is not None else ()
        record.values = {
            (one.name, one.arm): one.value for one in seen.verdicts if one.value is not None
        }
        problems = [*around.problems, *problems, *metric_problems(seen.verdicts)]
        await self._show(record, decision.status, problems)
        return self._next(record, seen, decision)

    async def _survey(self, record: Record, runbook: Known) -> Survey:
        """Look around, and forget a candidate of before that the router does not list any more.

        It has no traffic to put back, and must not keep that of others from being moved.
        """
        around = await self.surveyor.survey(record, runbook)
        if around.route is not None or record.spec is None:
            return around
        known = record.status
        if not parting(record.spec, known):
            return around
        record.status = known.model_copy(update={"candidate": None})
        without = await self.surveyor.survey(record, runbook)
        if without.route is None:
            record.status = known
            return around
        return without

    async def _show_stopped(self, record: Record, why: str, problems: list[Problem]) -> float:
        status = record.status.model_copy(update={"held": why[:300], "why": f"held: {why}"[:1024]})
        await self._show(record, status, problems)
        return self.clock.now() + min(record.interval, LOOK_AT_STOPPED)

    async def _hold(self, record: Record) -> list[Problem]:
        if not _moves_traffic(record) or FINALIZER in record.finalizers:
            return []
        try:
            await self.journal.hold(record)
        except ForbiddenError as error:
            return [Problem(ConditionType.READY, Reason.FORBIDDEN, str(error))]
        return []

    async def _finish_planned(self, record: Record, around: Survey) -> None:
        if record.status.action is not None:
            _LOG.info("resuming", monitor=record.name, step=record.status.action.step)
            view = self._view(record, Look(), around)
            await self.actor.resume(view, *self._hands(record))

    def _view(self, record: Record, seen: Look, around: Survey, stopped: str = "") -> View:
        now = self.clock.now()
        fleet = self.fleet.of(record.key, now, stopped)
        return record.view(seen, now, fleet=fleet, **around.named())

    async def _decide_and_act(
        self,
        record: Record,
        readings: Mapping[str, Reading],
        around: Survey,
        glanced: Glance | None,
    ) -> tuple[Look, Decision, Survey]:
        stopped = ""
        for _ in range(STEPS_PER_PASS):
            record.memory = without_answered(record.memory, record.status)
            seen = look_at(record, readings, glanced, self.clock.now())
            around = await self.surveyor.of_fault(record, seen, around)
            view = self._view(record, seen, around, stopped)
            decision = decide(view)
            record.memory = decision.memory
            if decision.freeze and self.fleet.freeze.tell(view.now):
                self.publisher.frozen(record, decision.status)
            if decision.step is None:
                incident_metrics.held(record, decision.brake)
                break
            view = replace(view, memory=record.memory, status=decision.status)
            self.fleet.admit(view, decision.step)
            try:
                await self._take(record, view, decision.step)
            except StoppedError as error:
                stopped = str(error)  # judging and telling go on
                continue
            around = await self.surveyor.again(record, around)
        return seen, replace(decision, status=self._merged(record, decision)), around

    def _merged(self, record: Record, decision: Decision) -> ModelMonitorStatus:
        return decision.status if decision.step is None else record.status

    async def _take(self, record: Record, view: View, step: Step) -> None:
        if view.spec.mode is Mode.OBSERVE:
            await self._only_observe(record, view, step)
            self.publisher.catch_up(record, self.clock.now())
            return
        try:
            done = await self.actor.perform(view, step, *self._hands(record))
        except OutsideError:
            if record.status.action is None:
                self.fleet.withdraw(record, view, step)
            raise
        if done is None and record.status.action is None:
            self.fleet.withdraw(record, view, step)
        if done is not None:
            _LOG.info("done", monitor=record.name, step=step.kind.value, why=step.why)
        if done is not None and step.kind is StepKind.SHIFT_TRAFFIC and step.candidate_weight:
            self.publisher.trial_started(record, step.candidate_weight)
        self.publisher.catch_up(record, self.clock.now())

    async def _only_observe(self, record: Record, view: View, step: Step) -> None:
        plan = await self.actor.plan(view, step)
        episode = under_way(view.status)
        if episode is not None:
            episode = journal.observed(episode, plan.action(view, step))
            record.status = view.status.model_copy(update={"incident": episode})

    def _hands(self, record: Record) -> tuple[Write, Learn]:
        async def write(status: ModelMonitorStatus) -> None:
            await self.journal.write(record, status)

        services = record.services

        def learn(facts: RouteFacts | WorkloadFacts) -> None:
            self.surveyor.cluster.learn(facts, services)

        return write, learn

    def _next(self, record: Record, seen: Look, decision: Decision) -> float:
        now = self.clock.now()
        due = cadence.next_look(
            now=now,
            newest=seen.newest,
            scrape_interval=seen.scrape_interval,
            interval=record.interval,
        )
        if decision.step is not None:
            return now + cadence.SHORTEST
        if decision.brake == HoldKind.KILL_SWITCH:
            due = min(due, now + LOOK_AT_STOPPED)
        if decision.due is not None:
            due = min(due, max(decision.due, now + cadence.SHORTEST))
        return due

    async def _show(
        self, record: Record, status: ModelMonitorStatus, problems: list[Problem]
    ) -> None:
        shown = summarize(
            status,
            problems,
            monitor=record.name,
            generation=record.generation,
            has_route=record.route is not None,
            now=self.clock.now(),
        )
        if self._is_due(record, shown):
            await self.journal.write(record, shown)
            record.written_at = self.clock.now()
        self.publisher.catch_up(record, self.clock.now())

    def _is_due(self, record: Record, shown: ModelMonitorStatus) -> bool:
        """Return whether ``shown`` is worth a write now: readings alone are written less often."""
        if shown == record.written:
            return False
        readings = {"signals": [], "why": "", "verdict": Verdict.UNKNOWN, "conditions": []}
        only_readings = shown.model_copy(update=readings) == record.written.model_copy(
            update=readings
        )
        return not only_readings or self.clock.now() >= record.written_at + READINGS_EVERY

    async def _show_invalid(self, record: Record) -> float:
        problem = record.invalid
        problems = [problem] if problem else []
        why = f"cannot watch: {problem.message}" if problem else ""
        status = record.status.model_copy(update={"why": why[:1024]})
        await self._show(record, status, problems)
        return self.clock.now() + record.interval

    async def _show_suspended(self, record: Record) -> float:
        said = "spec.suspend is true; traffic stays as it is"
        problem = Problem(ConditionType.READY, Reason.SUSPENDED, said)
        status = record.status.model_copy(update={"why": f"suspended: {said}"})
        await self._show(record, status, [problem])
        return self.clock.now() + record.interval

    async def _let_go(self, record: Record) -> float:
        if FINALIZER in record.finalizers:
            try:
                note = await put_back(record, self.surveyor.cluster.traffic)
            except ConflictError:
                raise
            except OutsideError as error:
                if self.clock.now() < (record.deleted_at or 0.0) + RESTORE_WITHIN:
                    raise
                note = f"traffic could not be put back, look after {record.route or 'it'}: {error}"
            if note:
                self.publisher.traffic_restored(record, note)
            await self.journal.release(record)
        raise Gone


def _moves_traffic(record: Record) -> bool:
    spec = record.spec
    return spec is not None and spec.mode is not Mode.OBSERVE and spec.traffic is not None


__all__ = ["Gone", "OutsideError", "Reconciler"]
