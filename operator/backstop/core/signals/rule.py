"""What every signal kind is: a rule that names its queries and measures what they return.

A kind is one module in this package with one subclass of :class:`Rule`; the registry finds it, and
the custom resource grows a field of that name. A rule only measures: whether a measurement is
enough evidence, and whether it persists, is judged in one place for all kinds.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from backstop.core import promql
from backstop.core.samples import Series


class Pillar(StrEnum):
    """Which of the four kinds of health a signal speaks of."""

    DATA = "data"
    MODEL = "model"
    SYSTEM = "system"
    BUSINESS = "business"


class UnknownReason(StrEnum):
    """Why there is no verdict."""

    NO_DATA = "NoData"
    INSUFFICIENT_DATA = "InsufficientData"
    SOURCE_DOWN = "SourceDown"
    BAD_QUERY = "BadQuery"
    WARMING_UP = "WarmingUp"


Selector = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""A plain metric selector, such as `model_requests_total{code=~"5.."}`."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number held against the bound of its rule, based on ``samples`` observations.

    ``why`` states both in words. ``samples`` is ``inf`` where the source does not say how many
    observations the number rests on.
    """

    value: float
    breached: bool
    why: str
    samples: float = math.inf


@dataclass(frozen=True, slots=True)
class Missing:
    """No number, and why; never a verdict about the model."""

    reason: UnknownReason
    why: str


Measured = Measurement | Missing


class Rule(BaseModel, ABC):
    """One signal kind, as written in a spec."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    KIND: ClassVar[str]
    """The field of a signal that holds this rule."""

    PILLAR: ClassVar[Pillar | None] = None
    """The pillar that the kind speaks of, or ``None`` where a spec has to say it."""

    COUNTS_REQUESTS: ClassVar[bool] = True
    """Whether :class:`Measurement.samples` is meaningful, so that a minimum can be demanded."""

    @property
    def reads_raw_samples(self) -> bool:
        """Whether the answers are raw samples, so that they can be cut at any time exactly."""
        return True

    @abstractmethod
    def queries(self, labels: Mapping[str, str], window: float) -> Mapping[str, str]:
        """Return the PromQL to ask by role, confined to ``labels``; ``window`` in seconds.

        Raises:
            PromqlError: an expression of the spec cannot be used.
        """

    @abstractmethod
    def measure(self, answers: Mapping[str, Sequence[Series]]) -> Measured:
        """Return the measurement that ``answers``, one per role, amount to."""


def raw_samples(selector: str, labels: Mapping[str, str], window: float) -> str:
    """Return the PromQL for the raw samples of ``selector`` in the last ``window`` seconds.

    Raises:
        PromqlError: ``selector`` is not a plain selector.
    """
    promql.require_selector(selector)
    return f"{promql.confine(selector, labels)}[{max(1, round(window * 1000))}ms]"
