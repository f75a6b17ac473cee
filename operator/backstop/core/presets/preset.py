"""What a preset is: the selectors of a model server's metrics, or why it has no such number.

A person who writes ``preset: vllm`` need not write selectors. Where a server does not export a
number, the preset says so in a sentence that names what to do instead, when it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from backstop.core.units import TimeUnit

ValueT = TypeVar("ValueT")


class PresetError(ValueError):
    """A signal leaves to the preset what it does not have; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Lacks:
    """The server does not export this; ``why`` says so and names a way out."""

    why: str


@dataclass(frozen=True, slots=True)
class EventCounters:
    """Selectors of two counters: all events, and those among them that ``part`` is about."""

    whole: str
    part: str


@dataclass(frozen=True, slots=True)
class Buckets:
    """Selector of the bucket counters of a classic histogram, and the unit of its edges."""

    selector: str
    unit: TimeUnit = TimeUnit.SECONDS


@dataclass(frozen=True, slots=True)
class Sums:
    """Selectors of two counters: the sum of what was observed, and how often it was."""

    total: str
    count: str
    unit: TimeUnit = TimeUnit.SECONDS


@dataclass(frozen=True, slots=True)
class Queue:
    """Selector of a gauge of requests in the server.

    ``waiting`` says that it counts only those that wait, not those that are being served.
    """

    gauge: str
    waiting: bool = True


@dataclass(frozen=True, slots=True)
class Features:
    """What is exported of features, each with the name of the feature in ``label``."""

    buckets: str
    missing: str
    invalid: str
    label: str = "feature"


@dataclass(frozen=True, slots=True)
class Categories:
    """Selector of a counter with the category in ``label``."""

    counter: str
    label: str


NO_FEATURES = Lacks(
    "no model server exports its features: export them by the backstop convention"
    " (model_feature_value_bucket, model_feature_missing_total, model_feature_invalid_total)"
    " and write their selectors"
)
NO_SCORES = Lacks(
    "no model server exports its predictions: export them by the backstop convention"
    " (model_prediction_score_bucket, model_prediction_total) and write their selectors"
)
NO_FEEDBACK = Lacks(
    "no model server knows the truth: count it by the backstop convention"
    " (model_feedback_total) where it arrives, and write its selector"
)


@dataclass(frozen=True, slots=True)
class Preset:
    """The numbers of one model server."""

    name: str
    errors: EventCounters | Lacks
    latency: Buckets | Lacks
    latency_sums: Sums | Lacks
    queue: Queue | Lacks
    features: Features | Lacks = NO_FEATURES
    scores: Buckets | Lacks = NO_SCORES
    predictions: Categories | Lacks = NO_SCORES
    feedback: Categories | Lacks = NO_FEEDBACK


def demand(preset: Preset | None, what: str, find: Callable[[Preset], ValueT | Lacks]) -> ValueT:
    """Return what ``find`` takes from ``preset``; ``what`` names it for the message.

    Raises:
        PresetError: there is no preset, or it has no such number; the message says what to do.
    """
    if preset is None:
        raise PresetError(f"{what}: write the selectors, or give the monitor a preset")
    found = find(preset)
    if isinstance(found, Lacks):
        raise PresetError(f"preset {preset.name} has no {what}: {found.why}")
    return found
