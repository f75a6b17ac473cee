"""Latencies as a server exports them, and the two measures of them that tests hold to limits."""

import numpy as np
from tests.core.build import series

from backstop.core.signals.threshold import Threshold

EDGES = (0.1, 0.25, 0.5, 1.0)


def buckets(observed, *, edges=EDGES, pod: str = "a", before: float = 0.0):
    """Return the bucket series of one pod that observed these latencies between two scrapes."""
    found = np.asarray(observed, dtype=np.float64)
    counts = {f"{edge:g}": int((found <= edge).sum()) for edge in edges}
    counts["+Inf"] = found.size
    return [series([before, before + n], pod=pod, le=le) for le, n in counts.items()]


def quantile_rule(quantile: str, bound: str, **more: str) -> Threshold:
    """Return a limit on a quantile."""
    fields = {"quantile": quantile, "buckets": "b", **more}
    return Threshold.model_validate({"latencyQuantile": fields, "max": bound})


def share_rule(above: str, bound: str, **more: str) -> Threshold:
    """Return a limit on the share of slow requests."""
    fields = {"above": above, "buckets": "b", **more}
    return Threshold.model_validate({"latency": fields, "max": bound})
