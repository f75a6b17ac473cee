"""What is known of the workloads and routes that monitors name.

Fed by the watches, and by a read where the watch has said nothing yet. Facts from here inform a
decision; a write always reads its object again first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from backstop.adapters.traffic.gateway_api import route_facts
from backstop.adapters.workloads.deployment import workload_facts
from backstop.api.conditions import ConditionType, Reason
from backstop.core.conditions import Problem
from backstop.core.facts import ObjectRef, RouteFacts, WorkloadFacts
from backstop.core.weights import Services
from backstop.ports import (
    Clock,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    OutsideError,
    Traffic,
    UnavailableError,
    Workload,
)
from backstop.runtime.record import Record


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a monitor names, as far as it exists, and what is wrong with the rest."""

    target: WorkloadFacts | None = None
    candidate: WorkloadFacts | None = None
    route: RouteFacts | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Cluster:
    """A cache of facts, keyed by what they are about; ``None`` stands for an absent object."""

    workloads: Workload
    traffic: Traffic
    is_referenced: Callable[[ObjectRef], bool]
    clock: Clock
    _workloads: dict[ObjectRef, WorkloadFacts | None] = field(default_factory=dict)
    _changed: dict[ObjectRef, tuple[str, datetime | None]] = field(default_factory=dict)
    _routes: dict[ObjectRef, Mapping[str, Any] | None] = field(default_factory=dict)
    _read_routes: dict[tuple[ObjectRef, Services], RouteFacts] = field(default_factory=dict)

    def saw(self, ref: ObjectRef, body: Mapping[str, Any] | None) -> bool:
        """Take note of a watched object, ``None`` when it is gone; return whether we care."""
        if not self.is_referenced(ref):
            return False
        if ref.kind == "HTTPRoute":
            self._routes[ref] = body
            self._read_routes = {k: v for k, v in self._read_routes.items() if k[0] != ref}
        else:
            self._workloads[ref] = self._dated(workload_facts(body)) if body is not None else None
        return True

    def learn(self, facts: RouteFacts | WorkloadFacts, services: Services | None) -> None:
        """Take note of what a read or a write has just returned."""
        if isinstance(facts, RouteFacts):
            if services is not None:
                self._read_routes[facts.ref, services] = facts
        else:
            self._workloads[facts.ref] = self._dated(facts)

    def _dated(self, facts: WorkloadFacts) -> WorkloadFacts:
        """Return ``facts`` with the time at which its template was first seen."""
        fingerprint, changed = self._changed.get(facts.ref, ("", None))
        if fingerprint != facts.fingerprint:
            seen = datetime.fromtimestamp(self.clock.now(), tz=UTC)
            changed = seen if fingerprint else facts.changed
            self._changed[facts.ref] = (facts.fingerprint, changed)
        return replace(facts, changed=changed)

    def forget(self) -> None:
        """Drop everything, so that it is read anew."""
        self._workloads.clear()
        self._routes.clear()
        self._read_routes.clear()

    async def around(self, record: Record) -> Surroundings:
        """Return the facts that ``record`` names."""
        problems: list[Problem] = []
        target = await self._workload(record.target, Reason.TARGET_NOT_FOUND, problems)
        candidate = await self._workload(record.candidate, Reason.CANDIDATE_NOT_FOUND, problems)
        route = await self._route(record, problems)
        return Surroundings(target, candidate, route, tuple(problems))

    async def _workload(
        self, ref: ObjectRef | None, missing: Reason, problems: list[Problem]
    ) -> WorkloadFacts | None:
        if ref is None:
            return None
        if ref not in self._workloads:
            try:
                self._workloads[ref] = self._dated(await self.workloads.read(ref))
            except NotFoundError:
                self._workloads[ref] = None
            except OutsideError as error:
                problems.append(_problem(ConditionType.TARGET_FOUND, error))
                return None
        facts = self._workloads[ref]
        if facts is None:
            problems.append(Problem(ConditionType.TARGET_FOUND, missing, _absent(ref)))
        return facts

    async def _route(self, record: Record, problems: list[Problem]) -> RouteFacts | None:
        ref, services = record.route, record.services
        if ref is None or services is None:
            return None
        try:
            facts = await self._route_facts(ref, services)
        except NotFoundError:
            absent = Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_FOUND, _absent(ref))
            problems.append(absent)
            return None
        except OutsideError as error:
            problems.append(_problem(ConditionType.ROUTE_READY, error))
            return None
        if not facts.rules:
            names = " and ".join(sorted(services.named))
            said = (
                f"{ref} has no rule that lists {names}; add the missing backendRefs with weight 0"
            )
            reason = Reason.ROUTE_HAS_NO_RULE
            problems.append(Problem(ConditionType.ROUTE_READY, reason, said, stalled=True))
            return None
        if not facts.in_effect:
            said = f"no gateway has accepted the newest {ref} yet {facts.message}".strip()
            problems.append(Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_ACCEPTED, said))
        elif facts.unresolved:
            said = f"{ref}: {facts.unresolved}; correct the Service or its port"
            problems.append(Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_RESOLVED, said))
        return facts

    async def _route_facts(self, ref: ObjectRef, services: Services) -> RouteFacts:
        known = self._read_routes.get((ref, services))
        if known is None:
            if self._routes.get(ref) is not None:
                known = route_facts(self._routes[ref] or {}, services)
            elif ref in self._routes:
                raise NotFoundError(f"{ref} does not exist")
            else:
                known = await self.traffic.read(ref, services)
            self._read_routes[ref, services] = known
        return known


def _absent(ref: ObjectRef) -> str:
    return f"{ref} does not exist in namespace {ref.namespace}; create it or correct its name"


def _problem(condition: ConditionType, error: OutsideError) -> Problem:
    if isinstance(error, ForbiddenError):
        return Problem(condition, Reason.FORBIDDEN, str(error))
    if isinstance(error, UnavailableError):
        return Problem(condition, Reason.API_UNAVAILABLE, str(error))
    return Problem(condition, Reason.INVALID_SPEC, str(error), isinstance(error, InvalidError))
