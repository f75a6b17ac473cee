"""Answers and references that the tests of drift and data quality are made from."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from tests.core.build import T0, series

from backstop.core.measurement import Measurement, Missing
from backstop.core.reference import Document, Reference, reference_of
from backstop.core.samples import NativeBucket, Series
from backstop.core.signals.rule import Asked, Rule, Subject
from backstop.core.tally import tally

EDGES = (1.0, 10.0, 100.0, 1000.0)
EVEN = (200.0, 200.0, 200.0, 200.0, 200.0)
TILTED = (50.0, 100.0, 200.0, 250.0, 400.0)


def histogram(
    counts: Sequence[float],
    name: str = "amount",
    *,
    edges: Sequence[float] = EDGES,
    at: float = T0,
) -> list[Series]:
    """Return the buckets of one feature as a source answers them: cumulative, by `le`."""
    labels = {"feature": name} if name else {}
    cumulative = list(accumulate(float(count) for count in counts))
    return [
        series([count], start=at, le="+Inf" if edge == math.inf else f"{edge:g}", **labels)
        for edge, count in zip((*edges, math.inf), cumulative, strict=True)
    ]


def histograms(features: Mapping[str, Sequence[float]], *, at: float = T0) -> list[Series]:
    """Return the buckets of several features with the same edges."""
    return [one for name, counts in features.items() for one in histogram(counts, name, at=at)]


def native(
    buckets: Sequence[NativeBucket], name: str = "amount", *, at: float = T0
) -> list[Series]:
    """Return a native histogram of one feature as a source answers it."""
    return [
        Series({"feature": name}, np.array([at]), np.array([math.nan]), tuple(buckets)),
    ]


def categories(counts: Mapping[str, float], *, at: float = T0, **labels: str) -> list[Series]:
    """Return a counter by the label `class`."""
    return [
        series([count], start=at, **{"class": name}, **labels) for name, count in counts.items()
    ]


def reference(**fields: Any) -> Reference:
    """Return the reference that a document with these fields is."""
    return reference_of(Document.model_validate(fields))


def trained(counts: Sequence[float], edges: Sequence[float] = EDGES, **more: Any) -> dict[str, Any]:
    """Return a histogram as a reference stores it."""
    return {"edges": list(edges), "counts": list(counts), **more}


def ask(
    rule: Rule,
    answers: Mapping[str, Sequence[Series]],
    known: Reference | Missing | None = None,
    *,
    least: int = 1,
    **more: Any,
) -> Measurement | Missing:
    """Return what `rule` measures in `answers` by role, over an hour."""
    silent = dict.fromkeys(rule.questions(Subject({}, {}), 3600.0), ())
    asked = Asked(
        {**silent, **answers},
        -1,
        more.pop("since", 0.0),
        T0,
        3600.0,
        Subject({}, {}),
        reference=known,
        least=least,
        **more,
    )
    return rule.measure(asked, tally([], []))


def why(measured: Measurement | Missing) -> str:
    """Return what is said of it."""
    return measured.why
