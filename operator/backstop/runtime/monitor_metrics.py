"""What each monitor shows, as metrics: made when they are asked for, from the records.

Nothing is kept up to date between scrapes, so a pass costs nothing more, and the series of a
monitor that was deleted end with it. Only a replica that acts tells anything here: each series is
told once, by whoever knows. Where there are more monitors than the operator's configuration allows,
those series are left out that have a label per monitor.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backstop.api.conditions import ConditionType
from backstop.api.modelmonitor import Mode
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import CircuitPhase, Severity, Verdict
from backstop.core import weights
from backstop.core.episode import under_way
from backstop.ports import Clock
from backstop.runtime.fleet import FleetState
from backstop.runtime.record import Record

VERDICTS: Final = {Verdict.HEALTHY: 1.0, Verdict.UNKNOWN: 0.0, Verdict.BREACHED: -1.0}
READY: Final = {"True": 1.0, "Unknown": 0.0, "False": -1.0}
PHASES: Final = {CircuitPhase.CLOSED: 0.0, CircuitPhase.HALF_OPEN: 1.0, CircuitPhase.OPEN: 2.0}

_OF_MONITOR: Final = ["namespace", "monitor"]


@dataclass(frozen=True, slots=True, eq=False)
class MonitorMetrics(Collector):
    """Tells what ``records`` and ``fleet`` hold while ``acts``.

    Monitors have series of their own while there are no more than ``at_most``.
    """

    records: Mapping[tuple[str, str], Record]
    fleet: FleetState
    clock: Clock
    acts: Callable[[], bool]
    at_most: int

    def collect(self) -> Iterator[Metric]:
        """Return all families; none while another replica acts."""
        if not self.acts():
            return
        records = list(self.records.values())
        yield _incidents(records)
        yield from self._budgets()
        if len(records) <= self.at_most:
            yield self._namespaces()
            for family in _EACH:
                yield family(records)

    def _budgets(self) -> Iterator[Metric]:
        fleet = self.fleet
        now = self.clock.now()
        yield GaugeMetricFamily(
            "backstop_actions_left",
            "Actions that all monitors together may still take in this hour.",
            fleet.actions_left(now),
        )
        yield GaugeMetricFamily(
            "backstop_acting_monitors",
            "Monitors with an incident under way in which something was done.",
            fleet.acting,
        )
        yield GaugeMetricFamily(
            "backstop_acting_monitors_limit",
            "How many monitors may act at once: the blast radius.",
            fleet.may_act,
        )
        yield GaugeMetricFamily(
            "backstop_frozen",
            "1 while so many monitors act that no other may begin to.",
            fleet.acting >= fleet.may_act,
        )

    def _namespaces(self) -> Metric:
        family = GaugeMetricFamily(
            "backstop_namespace_actions_left",
            "Actions that the monitors of a namespace may still take in this hour.",
            labels=["namespace"],
        )
        now = self.clock.now()
        for namespace in sorted({namespace for namespace, _ in self.records}):
            family.add_metric([namespace], self.fleet.namespace_actions_left(namespace, now))
        return family


def _incidents(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_incidents_under_way",
        "Incidents that are not resolved.",
        labels=["severity", "mode"],
    )
    found = dict.fromkeys(product(Severity, Mode), 0)
    for one in records:
        episode = under_way(one.status)
        if episode is not None:
            found[episode.severity, _mode(one)] += 1
    for labels, count in found.items():
        family.add_metric(labels, count)
    return family


def _mode(record: Record) -> Mode:
    """Return the mode; while the spec is invalid, the one in which somebody is to look after it."""
    return record.spec.mode if record.spec is not None else Mode.ACT


def _info(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_info",
        "1 for each monitor.",
        labels=[*_OF_MONITOR, "mode", "target_kind", "target", "source"],
    )
    for one in records:
        if one.spec is not None:
            target = one.spec.target
            about = [one.spec.mode, target.kind, target.name, one.spec.source]
            family.add_metric([*one.key, *about], 1.0)
    return family


def _verdicts(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_verdict",
        "The verdict on a signal: 1 Healthy, 0 Unknown, -1 Breached.",
        labels=[*_OF_MONITOR, "signal", "arm", "pillar"],
    )
    for one in records:
        for signal in one.status.signals:
            labels = [*one.key, signal.name, signal.arm, signal.pillar]
            family.add_metric(labels, VERDICTS[signal.verdict])
    return family


def _values(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_value",
        "What was last held against the limit of a signal, in the unit of the limit.",
        labels=[*_OF_MONITOR, "signal", "arm", "pillar"],
    )
    for one in records:
        for signal in one.status.signals:
            value = one.values.get((signal.name, signal.arm))
            if value is not None and signal.verdict is not Verdict.UNKNOWN:
                family.add_metric([*one.key, signal.name, signal.arm, signal.pillar], value)
    return family


def _ready(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_ready",
        "Whether Backstop can see and act: 1 yes, 0 not known, -1 no.",
        labels=_OF_MONITOR,
    )
    for one in records:
        family.add_metric([*one.key], READY[_readiness(one.status)])
    return family


def _readiness(status: ModelMonitorStatus) -> str:
    found = (one.status for one in status.conditions if one.type == ConditionType.READY)
    return next(found, "Unknown")


def _circuits(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_circuit",
        "Where traffic goes: 0 to the target, 1 a probe to the target, 2 to the fallback.",
        labels=_OF_MONITOR,
    )
    for one in records:
        family.add_metric([*one.key], PHASES[one.status.circuit.phase])
    return family


def _weights(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_weight",
        "Share of the traffic in [0, 1] that the route gives to a Service of the monitor.",
        labels=[*_OF_MONITOR, "service"],
    )
    for one in records:
        if one.services is None:
            continue
        for service, share in weights.shares(one.rules, one.services).items():
            family.add_metric([*one.key, service], share)
    return family


def _held(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_held",
        "1 while a brake holds the next step of the monitor.",
        labels=[*_OF_MONITOR, "brake"],
    )
    for one in records:
        if one.brake:
            family.add_metric([*one.key, one.brake], 1.0)
    return family


def _onsets(records: Iterable[Record]) -> Metric:
    family = GaugeMetricFamily(
        "backstop_monitor_incident_onset_seconds",
        "Unix time at which the incident began that is under way.",
        labels=[*_OF_MONITOR, "cause", "severity", "mode", "arm"],
    )
    for one in records:
        episode = under_way(one.status)
        if episode is not None:
            labels = [*one.key, episode.cause, episode.severity, _mode(one), episode.arm]
            family.add_metric(labels, episode.onset.timestamp())
    return family


_EACH: Final[tuple[Callable[[Iterable[Record]], Metric], ...]] = (
    _info,
    _verdicts,
    _values,
    _ready,
    _circuits,
    _weights,
    _held,
    _onsets,
)
