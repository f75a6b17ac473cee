"""Where the demo runs: the few addresses that it needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMESPACE = "demo"
HOST = "ranker.demo.test"
"""The host name that the demo's HTTPRoute answers to."""

_HELP = (
    "Run `make demo`, or inside of the lab `python -m backstop_lab exec -- python -m "
    "backstop_lab.demo`. On a cluster of your own set LAB_GATEWAY_URL (where the gateway `edge` of "
    "the namespace `default` answers) and LAB_PROMETHEUS_URL, and choose it by --context or "
    "KUBECONFIG."
)


class DemoError(Exception):
    """The demo cannot go on; the text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The addresses of the gateway and of Prometheus as this process reaches them."""

    gateway_url: str
    prometheus_url: str


def read(variables: Mapping[str, str]) -> Environment:
    """Read the environment. Raises DemoError with what to do where a variable is missing."""
    needed = ("LAB_GATEWAY_URL", "LAB_PROMETHEUS_URL")
    missing = [name for name in needed if not variables.get(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise DemoError(f"{', '.join(missing)} {verb} not set. {_HELP}")
    return Environment(variables["LAB_GATEWAY_URL"], variables["LAB_PROMETHEUS_URL"])
