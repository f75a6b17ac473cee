"""What Prometheus answers to an instant query, as Series. Pure.

Values are kept as they are, NaN and infinities included: what they mean is for the rules to say.
Anything that is not exactly an answer is an error, never an empty result.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from backstop.adapters.text import one_line
from backstop.core.samples import NativeBucket, Series

MAX_SERIES: Final = 20_000
"""More series than this are refused: a signal speaks of one workload, if of many features."""

MAX_BUCKETS: Final = 1_000
"""More buckets than this in one native histogram are refused; Prometheus' default limit is 160."""

_IS_PARTIAL: Final = re.compile(rb'"isPartial"\s*:\s*true')
_WARNING_LIMIT: Final = 200
_PAIR: Final = 2


class AnswerError(Exception):
    """The source answered something that cannot be used; the message is safe to show."""


def parse(result: object) -> tuple[Series, ...]:
    """Return the series of ``data.result`` of a matrix, a vector or a scalar.

    Raises:
        AnswerError: it is none of these, or too large.

    """
    if not isinstance(result, list):
        raise AnswerError("the answer is not one of Prometheus")
    if len(result) == _PAIR and not isinstance(result[0], dict):
        return (_series({}, [result]),)
    if len(result) > MAX_SERIES:
        raise AnswerError(
            f"the answer has {len(result)} series, more than {MAX_SERIES}: aggregate or narrow it"
        )
    return tuple(_one(item) for item in result)


def partial(body: bytes) -> str:
    """Return a sentence when the source says that its own answer is incomplete, else nothing.

    Prometheus and Thanos warn; a cluster of VictoriaMetrics says ``isPartial``. The words of a
    warning are shown only where they come from PromQL itself; those of stores behind the source may
    name hosts.
    """
    if b'"warnings"' not in body and not _IS_PARTIAL.search(body):
        return ""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""  # the reader of the body will say so
    answer = answer if isinstance(answer, dict) else {}
    warnings = answer.get("warnings")
    if not warnings:
        return (
            "the answer is incomplete: a part of the store is down"
            if answer.get("isPartial") is True
            else ""
        )
    shown = [one_line(one, _WARNING_LIMIT) for one in warnings if _is_about_promql(one)]
    return f"the answer may be incomplete{': ' + shown[0] if shown else ''}"


def _is_about_promql(warning: object) -> bool:
    return isinstance(warning, str) and warning.startswith("PromQL")


def _one(item: object) -> Series:
    if not isinstance(item, dict) or not isinstance(labels := item.get("metric"), dict):
        raise AnswerError("the answer is not one of Prometheus")
    if "histograms" in item:
        raise AnswerError(
            "the query returns native histograms over time: use histogram_quantile,"
            " histogram_count or histogram_sum around it"
        )
    if "histogram" in item:
        return _native(labels, item["histogram"])
    samples = item["values"] if "values" in item else [item.get("value")]
    return _series(labels, samples)


def _native(labels: dict[str, Any], sample: Any) -> Series:
    """Return a native histogram as a series without a number, but with buckets."""
    try:
        at, histogram = sample
        found: list[NativeBucket] = [
            (int(rule), float(lower), float(upper), float(count))
            for rule, lower, upper, count in histogram.get("buckets", ())
        ]
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise AnswerError("the answer holds a native histogram that cannot be read") from None
    if len(found) > MAX_BUCKETS:
        raise AnswerError(f"the answer holds a histogram with more than {MAX_BUCKETS} buckets")
    return replace(_series(labels, [[at, "NaN"]]), buckets=tuple(found))


def _series(labels: dict[str, Any], samples: Sequence[Any]) -> Series:
    try:
        times = np.array([float(at) for at, _ in samples], dtype=np.float64)
        values = np.array([float(value) for _, value in samples], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise AnswerError("the answer holds samples that are not numbers") from None
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise AnswerError("the answer holds samples without ascending times")
    if not all(isinstance(value, str) for value in labels.values()):
        raise AnswerError("the answer is not one of Prometheus")
    return Series(labels, times, values)
