"""What a rule asks of a metrics source, and what it makes of the answer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints

from backstop.core import promql


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
    UNEVEN_SPLIT = "UnevenSplit"
    ONE_POD = "OnePod"


Selector = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""A plain metric selector, such as `model_requests_total{code=~"5.."}`."""


class Question(NamedTuple):
    """PromQL to ask, and for how many seconds an answer to it may be used again.

    ``raw`` says that the answer holds raw samples, which can be cut at any time exactly.
    """

    promql: str
    keep: float = 0.0
    raw: bool = False


class Missing(NamedTuple):
    """No number, and why; never a verdict about the model.

    A sequential test counts on meanwhile: ``state`` and ``until`` are as in a Measurement.
    """

    reason: UnknownReason
    why: str
    state: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """What is usual for many features: effect sizes in past windows in which all was well.

    ``sizes`` has the shape (features, windows), NaN where nothing is known, in the order of
    ``names``. ``about`` tells the spec and the reference they were measured by, ``at`` is the Unix
    time of the newest window. It is kept in memory only.
    """

    about: float
    at: float
    names: tuple[str, ...]
    sizes: NDArray[np.float64]


class Measurement(NamedTuple):
    """A number held against the limit of its rule, based on ``samples`` observations.

    ``said`` states both in words, or is a function that does: most measurements are never shown.
    ``samples`` is ``inf`` where the source does not say how many observations the number rests on.
    ``state`` is what a sequential test carries to its next look, ``until`` the Unix time up to
    which it has counted. ``proven`` says that the opposite of a breach is certain, not only unseen.
    ``usual`` is what is known of the past from here on, ``None`` where nothing is to be remembered.
    """

    value: float
    breached: bool
    said: str | Callable[[], str]
    samples: float = math.inf
    state: str = ""
    until: float = 0.0
    proven: bool = False
    usual: Usual | None = None

    @property
    def why(self) -> str:
        """The number and its limit in words."""
        return self.said if isinstance(self.said, str) else self.said()


Measured = Measurement | Missing


def raw_samples(selector: str, labels: Mapping[str, str], window: float) -> Question:
    """Return the question for the raw samples of ``selector`` in the last ``window`` seconds.

    Raises:
        PromqlError: ``selector`` is not a plain selector.
    """
    promql.require_selector(selector)
    asked = f"{promql.confine(selector, labels)}[{promql.duration(window)}]"
    return Question(asked, raw=True)
