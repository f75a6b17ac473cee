"""Everything that a decision about one monitor is made from, beside its own status and metrics.

Most of it is kept by watches. What only matters in a fault is read only then: the configuration of
the target, and Jobs that were started.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import structlog

from backstop.api.runbook import Causes
from backstop.api.words import ActionState, Arm, CircuitPhase, StepKind, Verdict
from backstop.core.conditions import Problem
from backstop.core.episode import under_way
from backstop.core.facts import (
    ConfigurationChange,
    JobFacts,
    ObjectRef,
    RouteFacts,
    WorkloadFacts,
)
from backstop.core.routing import service_of_fallback
from backstop.core.verdicts import Look
from backstop.ports import Configuration, Endpoints, Jobs, OutsideError
from backstop.runtime.cluster import Cluster, Surroundings
from backstop.runtime.record import Record
from backstop.runtime.runbooks import Known, Runbooks

_LOG = structlog.get_logger(__name__)

CONFIGURATION_WITHIN: Final = 1.0
"""Seconds that a mitigation may wait for what is known of the target's configuration."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a decision is made from; the names are those of the view."""

    target: WorkloadFacts | None = None
    candidate: WorkloadFacts | None = None
    route: RouteFacts | None = None
    problems: tuple[Problem, ...] = ()
    runbook: Causes | None = None
    runbook_name: str = ""
    jobs: Mapping[str, JobFacts] = field(default_factory=lambda: MappingProxyType({}))
    configuration: tuple[ConfigurationChange, ...] | None = None
    fallback_ready: int | None = None

    def named(self) -> dict[str, Any]:
        """Return the fields of the view."""
        return {
            "target": self.target,
            "candidate": self.candidate,
            "route": self.route,
            "runbook": self.runbook,
            "runbook_name": self.runbook_name,
            "jobs": self.jobs,
            "configuration": self.configuration or (),
            "fallback_ready": self.fallback_ready,
        }

    def within(self, around: Surroundings) -> "Survey":
        """Return the survey with what the cluster shows now."""
        return replace(
            self,
            target=around.target,
            candidate=around.candidate,
            route=around.route,
            problems=around.problems,
        )


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Makes surveys."""

    cluster: Cluster
    runbooks: Runbooks
    jobs: Jobs
    configuration: Configuration
    endpoints: Endpoints

    async def survey(self, record: Record, runbook: Known) -> Survey:
        """Return what stands around ``record``."""
        made = Survey(
            runbook=runbook.steps,
            runbook_name=runbook.name,
            jobs=MappingProxyType(await self._jobs(record)),
            fallback_ready=await self._fallback(record),
        )
        return made.within(await self.cluster.around(record))

    async def again(self, record: Record, before: Survey) -> Survey:
        """Return the survey after an action."""
        return before.within(await self.cluster.around(record))

    async def of_fault(self, record: Record, seen: Look, known: Survey) -> Survey:
        """Return the survey with the target's configuration, where something is breached."""
        breached = any(
            one.verdict is Verdict.BREACHED and one.arm is Arm.TARGET and not one.reports
            for one in seen.verdicts
        )
        if not breached or known.configuration is not None or known.target is None:
            return known
        refs = known.target.configuration
        try:
            async with asyncio.timeout(CONFIGURATION_WITHIN):
                changes = await self.configuration.changes(refs) if refs else ()
        except (OutsideError, TimeoutError) as error:
            _LOG.warning("configuration not read", monitor=record.name, error=str(error))
            changes = ()
        return replace(known, configuration=changes)

    async def _fallback(self, record: Record) -> int | None:
        """Return how many endpoints of the fallback are ready, if it answers and that is known."""
        if record.spec is None or record.status.circuit.phase is CircuitPhase.CLOSED:
            return None
        service = service_of_fallback(record.spec, record.services)
        if service is None:
            return None
        try:
            return await self.endpoints.ready(record.namespace, service)
        except OutsideError as error:
            _LOG.warning("fallback not read", monitor=record.name, error=str(error))
            return None

    async def _jobs(self, record: Record) -> dict[str, JobFacts]:
        episode = under_way(record.status)
        found: dict[str, JobFacts] = {}
        for action in episode.actions if episode else ():
            if action.step is not StepKind.RUN_JOB or action.state is not ActionState.APPLIED:
                continue
            try:
                ref = ObjectRef("Job", record.namespace, action.after)
                found[action.id] = await self.jobs.read(ref)
            except OutsideError as error:
                _LOG.warning("job not read", monitor=record.name, error=str(error))
        return found
