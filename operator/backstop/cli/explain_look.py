"""A look as the operator takes it, without what follows: nothing is written, nothing is performed.

The questions, the judging and the decision are the operator's own code. What the operator remembers
from look to look, such as how many of the last ones broke a limit, is found by looking at the last
scrapes one after another, as the metrics source still has them.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from backstop.adapters.configuration import ConfigurationChanges
from backstop.adapters.endpoints import EndpointSlices
from backstop.adapters.jobs import KubernetesJobs
from backstop.adapters.kill_switch import ConfigMapKillSwitch
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.adapters.paths import namespaced
from backstop.adapters.traffic.registry import Routers
from backstop.adapters.workloads.registry import Workloads
from backstop.api import API_VERSION
from backstop.api.runbook import RunbookStep
from backstop.core import runbook as runbooks
from backstop.core import weights
from backstop.core.conditions import metric_problems
from backstop.core.decide import decide
from backstop.core.episode import under_way
from backstop.core.evidence import without_answered
from backstop.core.explain_page import Seen
from backstop.core.fleet import Fleet
from backstop.core.samples import Reading
from backstop.core.verdicts import Look
from backstop.core.view import View
from backstop.ports import KubeApi, OutsideError
from backstop.runtime.cluster import Cluster
from backstop.runtime.config import OperatorConfig
from backstop.runtime.fleet import FleetState
from backstop.runtime.gather import Kept, gather
from backstop.runtime.glance import look_at
from backstop.runtime.record import Record, record_of
from backstop.runtime.references import References
from backstop.runtime.runbooks import Known, Runbooks
from backstop.runtime.survey import Surveyor

_UNKNOWN_INTERVAL: Final = 15.0
_MOST_LOOKS: Final = 24


@dataclass(slots=True)
class _Moment:
    """The clock, set back by ``behind`` seconds."""

    behind: float = 0.0

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return time.time() - self.behind


async def by_status(api: KubeApi, body: Mapping[str, Any]) -> Seen:
    """Return what the status of the monitor ``body`` tells, without a look at its metrics."""
    record = record_of(body, {})
    record.catch_up()
    known = await Runbooks(api).of(record)
    around = {"runbook": known.steps, "runbook_name": known.name}
    steps = _steps(record.view(Look(), time.time(), **around)) if record.spec else ()
    unmet = (one for one in record.status.conditions if one.type in _UNMET and one.status != "True")
    return _seen(record, steps=steps, problems=tuple(f"{one.type}: {one.message}" for one in unmet))


_UNMET: Final = frozenset({"Ready", "MetricsAvailable", "TargetFound", "RouteReady"})


async def by_look(
    api: KubeApi, body: Mapping[str, Any], config: OperatorConfig, lease_namespace: str
) -> Seen:
    """Return what a look at the monitor ``body`` finds now, and what would be done about it.

    ``lease_namespace`` is where the operator's kill switch lies.

    Raises:
        OutsideError: the API server does not answer.
    """
    record = record_of(body, config.tenant_labels)
    if record.spec is None or record.invalid is not None or record.spec.suspend:
        return await by_status(api, body)
    record.catch_up()
    clock = _Moment()
    surveyor = Surveyor(
        Cluster(Workloads(api), Routers(api), lambda _: True, clock, frozenset()),
        Runbooks(api),
        KubernetesJobs(api),
        ConfigurationChanges(api),
        EndpointSlices(api),
    )
    known = await surveyor.runbooks.of(record)
    around = await surveyor.survey(record, known)
    if around.route is not None and record.services is not None:
        record.weight = weights.candidate_share(around.route.rules, record.services)
    record.compared_with = await _references(api, record, clock)
    seen = await _looked(record, config, clock)
    around = await surveyor.of_fault(record, seen, around)
    fleet = await _fleet(api, record, config, lease_namespace)
    view = record.view(seen, clock.now(), fleet=fleet, **around.named())
    decision = decide(view)
    problems = [*around.problems, *_of_runbook(known), *metric_problems(seen.verdicts)]
    made = _seen(record, problems=tuple(f"{one.condition}: {one.message}" for one in problems))
    return replace(
        made,
        status=decision.status,
        verdicts=seen.verdicts,
        step=decision.step,
        steps=_steps(replace(view, status=decision.status)),
    )


def _of_runbook(known: Known) -> Iterator[Any]:
    if known.problem is not None:
        yield known.problem


def _seen(
    record: Record, *, steps: tuple[RunbookStep, ...] = (), problems: tuple[str, ...] = ()
) -> Seen:
    if record.spec is None:
        said = record.invalid.message if record.invalid is not None else "its spec is not valid"
        raise OutsideError(f"{record.name} cannot be watched: {said}")
    invalid = (record.invalid.message,) if record.invalid is not None else ()
    return Seen(
        namespace=record.namespace,
        monitor=record.name,
        spec=record.spec,
        status=record.status,
        now=time.time(),
        steps=steps,
        problems=(*invalid, *problems),
    )


def _steps(view: View) -> tuple[RunbookStep, ...]:
    episode = under_way(view.status)
    return tuple(runbooks.steps_of(view, episode)) if episode is not None else ()


async def _references(api: KubeApi, record: Record, clock: _Moment) -> Mapping[str, Any]:
    references = References(api, clock)
    references.of(record)
    await references.settle()
    return references.of(record)


async def _looked(record: Record, config: OperatorConfig, clock: _Moment) -> Look:
    """Return a look at ``record`` now, with the memory of those at the scrapes before it."""
    name = record.spec.source if record.spec else ""
    source = _source(config, name, clock)
    try:
        first = await _look(record, source, name, clock)
        every = first.scrape_interval or _UNKNOWN_INTERVAL
        wanted = min(_MOST_LOOKS, 1 + max(one.looks for one in record.inquiries.values()))
        for back in range(wanted, 0, -1):
            clock.behind = back * every
            seen = await _look(record, source, name, clock)
            histories = MappingProxyType(dict(seen.histories))
            record.memory = replace(record.memory, histories=histories, looked=clock.now())
        clock.behind = 0.0
        return await _look(record, source, name, clock)
    finally:
        if source is not None:
            await source.close()


async def _look(record: Record, source: PrometheusSource | None, name: str, clock: _Moment) -> Look:
    record.memory = without_answered(record.memory, record.status)
    now = clock.now()
    readings: Mapping[str, Reading] = await gather(source, name, [record], Kept(), now)
    return look_at(record, readings, None, now)


def _source(config: OperatorConfig, name: str, clock: _Moment) -> PrometheusSource | None:
    found = config.sources.get(name)
    if found is None:
        return None
    return PrometheusSource(str(found.url), found.access, now=clock.now)


async def _fleet(
    api: KubeApi, record: Record, config: OperatorConfig, lease_namespace: str
) -> Fleet:
    """Return what all monitors do, as far as they may be listed."""
    budgets = config.budgets
    fleet = FleetState(
        budgets.actions_per_hour_per_namespace,
        budgets.actions_per_hour,
        budgets.blast_radius_share,
        budgets.blast_radius_at_least,
    )
    others: list[Record] = []
    with suppress(OutsideError):
        everywhere = namespaced(API_VERSION, record.namespace, "modelmonitors")
        everywhere = everywhere.replace(f"/namespaces/{record.namespace}", "")
        found = [record_of(one, {}) for one in await api.list(everywhere)]
        others = [one for one in found if one.key != record.key]
    fleet.rebuild([*others, record])
    try:
        switch = ConfigMapKillSwitch(api, lease_namespace, config.kill_switch)
        stopped = await switch.engaged()
    except OutsideError as error:
        stopped = f"the kill switch cannot be read: {error}"
    return fleet.of(record.key, time.time(), stopped)
