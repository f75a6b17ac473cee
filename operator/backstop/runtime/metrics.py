"""Backstop's own metrics. No label has a value per monitor, so their number does not grow."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

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
JUDGE_SECONDS = Histogram(
    "backstop_judge_seconds",
    "Time of judging all monitors of a round.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
ACTIONS = Counter(
    "backstop_actions_total", "Steps, by kind and mode.", ["step", "mode"], registry=REGISTRY
)
NOTIFICATIONS = Counter(
    "backstop_notifications_total",
    "Notifications for the configured receiver, by how they ended: delivered, refused, expired,"
    " dropped.",
    ["result"],
    registry=REGISTRY,
)
MONITORS = Gauge("backstop_monitors", "Monitors that are watched.", registry=REGISTRY)
LATENESS = Gauge(
    "backstop_schedule_lateness_seconds", "By how much the next look is overdue.", registry=REGISTRY
)
LEADER = Gauge("backstop_leader", "1 while this replica acts.", registry=REGISTRY)
