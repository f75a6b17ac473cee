"""One bad signal for each CEL rule of the kinds, with the sentence that is said to it."""

from typing import Any, Final

_ERRORS: Final = {"requests": "r", "errors": "e"}
_PAIR: Final = {"long": "1h", "short": "5m", "factor": "0.5"}
_FEEDBACK: Final = {"matureAfter": "1d"}
_HISTOGRAMS: Final = {"buckets": "b", "native": "n"}
_MARGINS: Final = "margin is from 1 to 100, and notWorseThan is larger than margin and at most 1000"

KIND_MISTAKES: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("burnRate", {"objective": "99%"}, "a burn rate needs exactly one of errors, latency, success"),
    (
        "burnRate",
        {"objective": "100%", "errors": _ERRORS},
        "objective must be above 0% and below 100%: at 100% there is no budget to burn",
    ),
    (
        "burnRate",
        {"objective": "0.0%", "errors": _ERRORS},
        "objective must be above 0% and below 100%: at 100% there is no budget to burn",
    ),
    ("change", {}, "a change needs exactly one of errors, latency, success"),
    ("change", {"errors": _ERRORS, "margin": "0.5"}, "margin is from 1 to 100"),
    (
        "comparison",
        {},
        "a comparison needs exactly one of errors, latency, success, distribution",
    ),
    (
        "comparison",
        {"errors": _ERRORS, "margin": "0.5"},
        _MARGINS,
    ),
    (
        "comparison",
        {"errors": _ERRORS, "margin": "2", "notWorseThan": "2"},
        _MARGINS,
    ),
    (
        "comparison",
        {"errors": _ERRORS, "alpha": "0%"},
        "alpha and beta are above 0% and below 100%",
    ),
    (
        "dataQuality",
        {"features": {"buckets": "b"}},
        "dataQuality needs at least one of missing, invalid, outOfRange, sentinel, schema, stale",
    ),
    ("dataQuality", {"sentinel": {"value": "-1"}}, "sentinel and schema need a reference"),
    (
        "dataQuality",
        {"schema": False, "reference": {"past": "7d"}},
        "schema is true, or left out",
    ),
    (
        "drift",
        {"reference": {"stable": True}},
        "drift needs exactly one of features, scores, predictions, categories",
    ),
    ("drift", {"scores": {}, "max": "0"}, "max must be above 0"),
    ("drift", {"scores": {}, "alpha": "50%"}, "alpha must be above 0% and below 50%"),
    ("drift", {"scores": {}, "alpha": "0.00%"}, "alpha must be above 0% and below 50%"),
    (
        "drift",
        {"scores": {}, "falseDiscoveries": "100%"},
        "falseDiscoveries must be above 0% and below 100%",
    ),
    (
        "drift",
        {"predictions": {}, "by": "ks"},
        "ks and wasserstein need numbers: features or scores",
    ),
    (
        "drift",
        {"scores": {}, "by": "psi", "range": {"min": "0", "max": "1"}},
        "range is for by: wasserstein only",
    ),
    (
        "performance",
        {**_FEEDBACK, "min": "95%"},
        "performance needs exactly one of accuracy, precision, recall, rmse",
    ),
    (
        "performance",
        {**_FEEDBACK, "accuracy": {}},
        "accuracy, precision and recall need min, for example min: 95%; rmse has none",
    ),
    (
        "performance",
        {**_FEEDBACK, "accuracy": {}, "min": "95%", "max": "2"},
        'rmse needs max, a number in quotes, for example max: "12.5"; the other measures have none',
    ),
    (
        "performance",
        {**_FEEDBACK, "accuracy": {}, "min": "95%", "confidence": "40%"},
        "confidence must be at least 50% and below 100%",
    ),
    (
        "resource",
        {"max": "90%"},
        "a resource needs exactly one of cpu, memory, gpu, gpuMemory, queue, throughput",
    ),
    (
        "resource",
        {"cpu": {}, "max": "20"},
        "cpu, memory, gpu and gpuMemory need max, a percentage, for example max: 90%",
    ),
    (
        "resource",
        {"queue": {}, "max": "20%"},
        'queue needs max, a number in quotes, for example max: "20"',
    ),
    (
        "resource",
        {"throughput": {}, "max": "50%"},
        "throughput needs min and has no max, for example min: 50%; the others have no min",
    ),
)
"""The kind, its fields, and what is wrong with them."""

PART_MISTAKES: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    (
        "burnRate.pairs[0]",
        {"objective": "99%", "errors": _ERRORS, "pairs": [_PAIR]},
        'factor must be at least 1: a slower burn leaves a part of the budget, for example "14.4"',
    ),
    (
        "dataQuality.features",
        {"missing": "5%", "features": _HISTOGRAMS},
        "write buckets for classic histograms or native for native ones, not both",
    ),
    (
        "dataQuality.reference",
        {"missing": "5%", "reference": {}},
        "a reference needs exactly one of configMap, past",
    ),
    (
        "dataQuality.outOfRange",
        {"outOfRange": {}},
        "outOfRange needs min, max or both",
    ),
    (
        "dataQuality.outOfRange",
        {"outOfRange": {"min": "2", "max": "1"}},
        "min of outOfRange must be below its max",
    ),
    (
        "drift.reference",
        {"scores": {}, "reference": {}},
        "a reference needs exactly one of configMap, past, stable",
    ),
    (
        "drift.reference",
        {"scores": {}, "reference": {"stable": False}},
        "stable is true, or left out",
    ),
    (
        "drift.range",
        {"scores": {}, "by": "wasserstein", "range": {"min": "1", "max": "1"}},
        "min of a range must be below its max",
    ),
    (
        "drift.scores",
        {"scores": _HISTOGRAMS},
        "write buckets for a classic histogram or native for a native one, not both",
    ),
    (
        "drift.features",
        {"features": _HISTOGRAMS},
        "write buckets for a classic histogram or native for a native one, not both",
    ),
)
"""The same inside of a kind: where, the fields of the kind, and what is wrong there."""
