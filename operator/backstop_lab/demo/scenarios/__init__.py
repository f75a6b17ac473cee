"""The faults of the demo, in the order in which it shows them; each is a module with one class."""

from __future__ import annotations

from backstop_lab.demo.scenarios.bad_canary import BadCanary
from backstop_lab.demo.scenarios.bad_release import BadRelease
from backstop_lab.demo.scenarios.dependency import Dependency
from backstop_lab.demo.scenarios.prometheus_outage import PrometheusOutage
from backstop_lab.demo.scenarios.scenario import Scenario

ALL: dict[str, type[Scenario]] = {
    one.name: one for one in (BadRelease, BadCanary, Dependency, PrometheusOutage)
}

__all__ = ["ALL", "Scenario"]
