"""Backstop's own metrics, those of all monitors together.

No label here has a value per monitor, so their number does not grow with them; what each monitor
shows is in :mod:`backstop.runtime.monitor_metrics`. Every combination of labels that is known
beforehand is there from the start, at 0: the rise of a series that begins at 1 cannot be seen.
"""

from itertools import product
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)

from backstop import __version__
from backstop.api.modelmonitor import Mode
from backstop.api.words import Cause, Severity, StepKind
from backstop.core.brakes import HoldKind

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series

REGISTRY = CollectorRegistry()

EPISODE_BUCKETS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""From a mitigation in one write to a repair that takes an hour."""

BUILD = Info("backstop_build", "The version that runs.", registry=REGISTRY)
BUILD.info({"version": __version__})

PASSES = Counter(
    "backstop_reconcile_total", "Passes over monitors, by result.", ["result"], registry=REGISTRY
)
PASS_SECONDS = Histogram(
    "backstop_reconcile_time_seconds",
    "Time of one pass over one monitor, from readings to the last write.",
    registry=REGISTRY,
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15),
)
READ_SECONDS = Histogram(
    "backstop_source_read_seconds",
    "Time of one round of questions to a metrics source.",
    ["source"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
READS = Counter(
    "backstop_source_reads_total",
    "Questions to a metrics source, by result: answered, rejected (the query is wrong), failed.",
    ["source", "result"],
    registry=REGISTRY,
)
SOURCE_UP = Gauge(
    "backstop_source_up",
    "1 if the metrics source answered a question of the last round, 0 if it answered none.",
    ["source"],
    registry=REGISTRY,
)
JUDGE_SECONDS = Histogram(
    "backstop_judge_seconds",
    "Time of judging all monitors of a round.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
ACTIONS = Counter(
    "backstop_actions_total",
    "Steps that were carried out, and in mode Observe those that would have been.",
    ["step", "mode"],
    registry=REGISTRY,
)
ACTIONS_FAILED = Counter(
    "backstop_actions_failed_total",
    "Steps that failed: refused (nothing was changed), ineffective (changed, and not in effect).",
    ["step", "reason"],
    registry=REGISTRY,
)
ACTIONS_HELD = Counter(
    "backstop_actions_held_total",
    "How often a brake began to hold the next step of a monitor.",
    ["brake"],
    registry=REGISTRY,
)
INCIDENTS = Counter(
    "backstop_incidents_total",
    "Incidents that were opened, with the severity that they had then.",
    ["cause", "severity"],
    registry=REGISTRY,
)


def _since_onset(name: str, until: str) -> Histogram:
    return Histogram(
        f"backstop_incident_{name}_seconds",
        f"Time from the onset of an incident until {until}.",
        ["severity"],
        registry=REGISTRY,
        buckets=EPISODE_BUCKETS,
    )


DETECTION_SECONDS = _since_onset("detection", "the evidence sufficed for a verdict")
MITIGATION_SECONDS = _since_onset("mitigation", "traffic had been moved away from the fault")
RECOVERY_SECONDS = _since_onset("recovery", "all was healthy again")

NOTIFICATIONS = Counter(
    "backstop_notifications_total",
    "Notifications for the configured receiver, by how they ended: delivered, refused, expired,"
    " dropped.",
    ["result"],
    registry=REGISTRY,
)
KILL_SWITCH = Gauge(
    "backstop_kill_switch_engaged",
    "1 while the kill switch stops all actions, also because it cannot be read or understood.",
    registry=REGISTRY,
)
MONITORS = Gauge("backstop_monitors", "Monitors that are watched.", registry=REGISTRY)
LATENESS = Gauge(
    "backstop_schedule_lateness_seconds", "By how much the next look is overdue.", registry=REGISTRY
)
LEADER = Gauge("backstop_leader", "1 while this replica acts.", registry=REGISTRY)

PASS_RESULTS: Final = ("ok", "gone", "conflict", "unavailable", "refused", "bug")
READ_RESULTS: Final = ("answered", "rejected", "failed")
FAILURES: Final = ("refused", "ineffective")
NOTIFICATION_RESULTS: Final = ("delivered", "refused", "expired", "dropped")


def _begin_at_zero() -> None:
    for result in PASS_RESULTS:
        PASSES.labels(result)
    for step, mode in product(StepKind, Mode):
        ACTIONS.labels(step, mode)
    for step, reason in product(StepKind, FAILURES):
        ACTIONS_FAILED.labels(step, reason)
    for brake in HoldKind:
        ACTIONS_HELD.labels(brake)
    for cause, severity in product(Cause, Severity):
        INCIDENTS.labels(cause, severity)
    for severity in Severity:
        for until in (DETECTION_SECONDS, MITIGATION_SECONDS, RECOVERY_SECONDS):
            until.labels(severity)
    for result in NOTIFICATION_RESULTS:
        NOTIFICATIONS.labels(result)


_begin_at_zero()
