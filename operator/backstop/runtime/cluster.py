"""What is known of the workloads and routers that monitors name.

Fed by the watches, and by reads: once where the watch has said nothing yet, and again and again for
kinds that have no watch. Facts from here inform a decision; a write always reads its object again.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from backstop.adapters.traffic.registry import facts_of as route_facts_of
from backstop.adapters.workloads.registry import facts_of as workload_facts_of
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
    UnknownKindError,
    Workload,
)
from backstop.runtime.record import Record

READ_AGAIN: Final = 15.0
"""Seconds for which a read of an object without a watch holds."""

READ_AGAIN_BUSY: Final = 1.0
"""The same while something is under way."""

_BACKENDS: Final = "backendRefs"
_LISTS: Final = {
    "HTTPRoute": _BACKENDS,
    "GRPCRoute": _BACKENDS,
    "VirtualService": "destinations",
}
"""Where a rule of each kind lists its Services."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a monitor names, as far as it exists, and what is wrong with the rest."""

    target: WorkloadFacts | None = None
    candidate: WorkloadFacts | None = None
    route: RouteFacts | None = None
    problems: tuple[Problem, ...] = ()


class _Seen(NamedTuple):
    """Facts, or ``None`` for an absent object, and when they were read (infinite: watched)."""

    facts: Any
    at: float


@dataclass(slots=True)
class Cluster:
    """A cache of facts, keyed by what they are about.

    ``watched`` are the kinds whose changes are told to :meth:`saw`, unless ``is_blind`` says that
    those of this object cannot be watched at the moment.
    """

    workloads: Workload
    traffic: Traffic
    is_referenced: Callable[[ObjectRef], bool]
    clock: Clock
    watched: frozenset[str]
    is_blind: Callable[[ObjectRef], bool] = lambda _: False
    _workloads: dict[ObjectRef, _Seen] = field(default_factory=dict)
    _changed: dict[ObjectRef, tuple[str, datetime | None]] = field(default_factory=dict)
    _bodies: dict[ObjectRef, Mapping[str, Any] | None] = field(default_factory=dict)
    _routes: dict[tuple[ObjectRef, Services], _Seen] = field(default_factory=dict)
    _about: dict[ObjectRef, set[tuple[ObjectRef, Services]]] = field(default_factory=dict)

    def saw(self, ref: ObjectRef, body: Mapping[str, Any] | None, *, workload: bool) -> bool:
        """Take note of a watched object, ``None`` when it is gone; return whether we care."""
        if not self.is_referenced(ref):
            return False
        if workload:
            facts = self._dated(workload_facts_of(ref.kind, body)) if body is not None else None
            self._workloads[ref] = _Seen(facts, math.inf)
        else:
            self._bodies[ref] = body
        self._drop_routes(ref)
        return True

    def _keep_route(self, ref: ObjectRef, services: Services, facts: RouteFacts) -> None:
        key = ref, services
        self._drop_route(key)
        self._routes[key] = self._seen(ref, facts)
        for one in {ref, *facts.parts}:
            self._about.setdefault(one, set()).add(key)

    def _drop_routes(self, ref: ObjectRef) -> None:
        """Drop what was made from ``ref``; found by an index, as there may be 10,000 others."""
        for key in tuple(self._about.get(ref, ())):
            self._drop_route(key)

    def _drop_route(self, key: tuple[ObjectRef, Services]) -> None:
        seen = self._routes.pop(key, None)
        for one in {key[0], *seen.facts.parts} if seen is not None else ():
            self._about[one].discard(key)
            if not self._about[one]:
                del self._about[one]

    def forget(self, ref: ObjectRef) -> None:
        """Keep nothing of an object that nobody names any more: its changes are not told."""
        self._workloads.pop(ref, None)
        self._changed.pop(ref, None)
        self._bodies.pop(ref, None)
        self._drop_routes(ref)

    def learn(self, facts: RouteFacts | WorkloadFacts, services: Services | None) -> None:
        """Take note of what a write has just returned."""
        if self._is_outdated(facts) or not self.is_referenced(facts.ref):
            return
        if isinstance(facts, RouteFacts):
            if services is not None:
                self._keep_route(facts.ref, services, facts)
        else:
            self._workloads[facts.ref] = self._seen(facts.ref, self._dated(facts))

    def _is_outdated(self, facts: RouteFacts | WorkloadFacts) -> bool:
        """Return whether a watch has shown a newer version, as it can before a write returns."""
        if isinstance(facts, RouteFacts):
            body = self._bodies.get(facts.ref)
            known = str(body["metadata"]["resourceVersion"]) if body is not None else ""
        else:
            seen = self._workloads.get(facts.ref)
            known = str(seen.facts.resource_version) if seen is not None and seen.facts else ""
        versions = (known, facts.resource_version)
        return all(one.isdigit() for one in versions) and int(known) > int(versions[1])

    def _seen(self, ref: ObjectRef, facts: RouteFacts | WorkloadFacts | None) -> _Seen:
        is_watched = ref.kind in self.watched and not self.is_blind(ref)
        return _Seen(facts, math.inf if is_watched else self.clock.now())

    def _dated(self, facts: WorkloadFacts) -> WorkloadFacts:
        """Return ``facts`` with the time at which its template was first seen."""
        fingerprint, changed = self._changed.get(facts.ref, ("", None))
        if fingerprint != facts.fingerprint:
            seen = datetime.fromtimestamp(self.clock.now(), tz=UTC)
            changed = seen if fingerprint else facts.changed
            self._changed[facts.ref] = (facts.fingerprint, changed)
        return replace(facts, changed=changed)

    async def around(self, record: Record) -> Surroundings:
        """Return the facts that ``record`` names."""
        problems: list[Problem] = []
        good = READ_AGAIN_BUSY if record.is_busy else READ_AGAIN
        target = await self._workload(record.target, Reason.TARGET_NOT_FOUND, problems, good)
        candidate = await self._workload(
            record.candidate, Reason.CANDIDATE_NOT_FOUND, problems, good
        )
        route = await self._route(record, problems, good)
        return Surroundings(target, candidate, route, tuple(problems))

    def _holds(self, ref: ObjectRef, seen: _Seen | None, good: float) -> bool:
        if seen is None or (math.isinf(seen.at) and self.is_blind(ref)):
            return False
        return self.clock.now() < seen.at + good

    async def _workload(
        self, ref: ObjectRef | None, missing: Reason, problems: list[Problem], good: float
    ) -> WorkloadFacts | None:
        if ref is None:
            return None
        known = self._workloads.get(ref)
        found: WorkloadFacts | None = known.facts if known is not None else None
        if not self._holds(ref, known, good):
            try:
                found = self._found(ref, known, await self.workloads.read(ref))
            except UnknownKindError as error:
                problems.append(_problem(ConditionType.TARGET_FOUND, error))
                return None
            except NotFoundError:
                found = self._found(ref, known, None)
            except OutsideError as error:
                problems.append(_problem(ConditionType.TARGET_FOUND, error))
                return None
        if found is None:
            problems.append(Problem(ConditionType.TARGET_FOUND, missing, _absent(ref)))
        return found

    def _found(
        self, ref: ObjectRef, before: _Seen | None, read: WorkloadFacts | None
    ) -> WorkloadFacts | None:
        """Return what holds after a read that began when ``before`` was known.

        What a watch has told meanwhile is newer than the answer, and perhaps its last word.
        """
        seen = self._workloads.get(ref)
        if seen is not None and seen is not before:
            told: WorkloadFacts | None = seen.facts
            return told
        if not self.is_referenced(ref):
            return read
        read = self._dated(read) if read is not None else None
        self._workloads[ref] = self._seen(ref, read)
        return read

    async def _route(
        self, record: Record, problems: list[Problem], good: float
    ) -> RouteFacts | None:
        ref, services = record.route, record.services
        if ref is None or services is None:
            return None
        try:
            facts = await self._route_facts(ref, services, good)
        except UnknownKindError as error:
            problems.append(_problem(ConditionType.ROUTE_READY, error))
            return None
        except NotFoundError:
            absent = Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_FOUND, _absent(ref))
            problems.append(absent)
            return None
        except OutsideError as error:
            problems.append(_problem(ConditionType.ROUTE_READY, error))
            return None
        problem = _of_route(facts, services)
        problems.extend([problem] if problem else [])
        return facts if facts.rules else None

    async def _route_facts(self, ref: ObjectRef, services: Services, good: float) -> RouteFacts:
        known = self._routes.get((ref, services))
        if known is not None and self._holds(ref, known, good):
            facts: RouteFacts = known.facts
            return facts
        if self.is_blind(ref):
            self._bodies.pop(ref, None)
        body = self._bodies.get(ref)
        if ref in self._bodies and body is None:
            raise NotFoundError(f"{ref} does not exist")
        shown = route_facts_of(ref.kind, body, services) if body is not None else None
        facts = shown or await self.traffic.read(ref, services)
        # What a watch has told during a read is newer, and what the next look is made from.
        told = self._bodies.get(ref) is not body or (ref in self._bodies and body is None)
        if not told and self.is_referenced(ref):
            self._keep_route(ref, services, facts)
        return facts


def _of_route(facts: RouteFacts, services: Services) -> Problem | None:
    """Return what is wrong with a router that exists."""
    ref = facts.ref
    if not facts.rules:
        said = f"{ref}: {facts.message}"
        if ref.kind in _LISTS or not facts.message:
            names, listed = " and ".join(sorted(services.named)), _LISTS.get(ref.kind, "ones")
            said = f"{ref} has no rule that lists {names}; add the missing {listed} with weight 0"
        return Problem(ConditionType.ROUTE_READY, Reason.ROUTE_HAS_NO_RULE, said, stalled=True)
    if not facts.in_effect:
        said = f"no gateway has accepted the newest {ref} yet {facts.message}".strip()
        if _LISTS.get(ref.kind) != _BACKENDS:
            said = (
                f"{ref} is not in effect yet: {facts.message or 'its controller has not seen it'}"
            )
        return Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_ACCEPTED, said)
    if facts.unresolved:
        said = f"{ref}: {facts.unresolved}; correct the Service or its port"
        return Problem(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_RESOLVED, said)
    return None


def _absent(ref: ObjectRef) -> str:
    return f"{ref} does not exist in namespace {ref.namespace}; create it or correct its name"


def _problem(condition: ConditionType, error: OutsideError) -> Problem:
    if isinstance(error, ForbiddenError):
        return Problem(condition, Reason.FORBIDDEN, str(error))
    if isinstance(error, UnknownKindError):
        return Problem(condition, Reason.UNKNOWN_KIND, str(error), stalled=True)
    if isinstance(error, UnavailableError):
        return Problem(condition, Reason.API_UNAVAILABLE, str(error))
    return Problem(condition, Reason.INVALID_SPEC, str(error), isinstance(error, InvalidError))
