"""Everything that the operator exports, from a world in which each series has something to tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from prometheus_client.metrics_core import Metric
from tests.core.build import episode
from tests.runtime.test_fleet import record
from tests.runtime.test_measured import Answers
from tests.runtime.test_monitor_metrics import signal, told_by

from backstop.api.words import Arm
from backstop.core.brakes import HoldKind
from backstop.core.facts import RuleWeights
from backstop.runtime import metrics
from backstop.runtime.measured import MeasuredSource

_SUFFIX = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Told:
    """One metric as people know it: its name, its labels, the names of its series."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    series: frozenset[str]


def told() -> dict[str, Told]:
    """Return all metrics by name."""
    MeasuredSource("default", Answers())
    metrics.SOURCE_UP.labels("default").set(1)
    metrics.READ_SECONDS.labels("default")
    everything = map(_of, chain(metrics.REGISTRY.collect(), _of_monitors()))
    return {one.name: one for one in everything if one.name.startswith("backstop_")}


def _of_monitors() -> Iterator[Metric]:
    one = record(known={"incident": episode().to_json(), "signals": [signal("Healthy")]})
    assert one.services is not None
    one.rules = (RuleWeights(0, dict.fromkeys(one.services.named, 1)),)
    one.values = {("errors", Arm.TARGET): 0.01}
    one.brake = HoldKind.COOL_DOWN
    yield from told_by(one).collect()


def _of(family: Metric) -> Told:
    name = family.name + _SUFFIX.get(family.type, "")
    known = family.samples
    assert known, f"{family.name} has nothing to tell"
    labels = tuple(name for name in known[0].labels if name != "le")
    series = frozenset(sample.name for sample in known)
    return Told(name, family.type, labels, family.documentation, series)
