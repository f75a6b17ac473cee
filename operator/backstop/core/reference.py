"""What a model's data looked like when it was trained: the reference of drift and data quality.

It is written by ``backstop reference build`` into a ConfigMap, as JSON under one key, and holds
counts only: per feature a histogram or categories, how much was missing, and the share of values
that are exactly equal to a frequent one. Whatever else a ConfigMap holds is refused in a sentence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from backstop.core.measures.features import MOST_BUCKETS, MOST_CATEGORIES, Categories, Classic
from backstop.core.tally import MOST

KEY: Final = "reference.json"
"""Under which key of its data a ConfigMap holds a reference."""

LARGEST: Final = 900_000
"""Bytes of a manifest; the API server refuses objects of somewhat more than a million."""

MOST_FEATURES: Final = 5_000
"""How many features a reference has at most."""

MOST_SENTINELS: Final = 8
"""How many frequent exact values are kept of a feature."""

_Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Text = Annotated[str, StringConstraints(max_length=253)]
_Count = Annotated[float, Field(ge=0.0, lt=MOST, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Category = Annotated[str, StringConstraints(max_length=253)]
_Sentinel = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]{1,3})?$", max_length=32)
]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Checked):
    """One feature of numbers."""

    edges: Annotated[list[_Finite], Field(min_length=1, max_length=MOST_BUCKETS - 1)]
    """Upper edges of the buckets, ascending; one more bucket holds what is above."""

    counts: Annotated[list[_Count], Field(min_length=2, max_length=MOST_BUCKETS)]
    """How many values each bucket holds, one more than there are edges."""

    missing: _Count = 0.0
    """How many values were absent."""

    sentinels: Annotated[dict[_Sentinel, _Count], Field(max_length=MOST_SENTINELS)] = {}
    """How many values were exactly equal to a frequent one, by that value."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("one count more than edges")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges ascend")
        return self


class Frequencies(_Checked):
    """One feature of categories."""

    counts: Annotated[dict[_Category, _Count], Field(min_length=1, max_length=MOST_CATEGORIES)]
    """How often each category was seen."""

    missing: _Count = 0.0
    """How many values were absent."""


class Document(_Checked):
    """A reference as it is stored."""

    format: Literal[1] = 1
    """The version of this format."""

    name: _Text = ""
    """What it was built from, for people."""

    model: _Text = ""
    """The version of the model that was trained on it."""

    created: _Text = ""
    """When it was built, in RFC 3339."""

    binning: _Text = ""
    """A hash of all edges: two references with the same one can be compared bucket by bucket."""

    rows: _Count = 0.0
    """How many rows it was built from."""

    features: Annotated[dict[_Name, Histogram], Field(max_length=MOST_FEATURES)] = {}
    """Features of numbers, by name."""

    categories: Annotated[dict[_Name, Frequencies], Field(max_length=MOST_FEATURES)] = {}
    """Features of categories, by name."""

    scores: Histogram | None = None
    """The scores that the model gave."""

    predictions: Frequencies | None = None
    """The classes that the model answered, or the labels that it was trained on."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the model's data looked like, ready to be compared with.

    ``missing`` holds the share of values that were absent, in [0, 1], by feature; ``sentinels`` the
    share of values that were exactly equal to one, by feature and that value. ``identity`` tells
    one reference from another.
    """

    identity: str
    model: str
    features: Mapping[str, Classic]
    categories: Mapping[str, Categories]
    scores: Classic | None
    predictions: Categories | None
    missing: Mapping[str, float]
    sentinels: Mapping[str, Mapping[float, float]]


class DamagedError(ValueError):
    """A ConfigMap holds no reference; the message says what is wrong, without its content."""


def parse(data: object) -> Reference:
    """Return the reference in ``data``, the data of a ConfigMap.

    Raises:
        DamagedError: there is none, or it is damaged.
    """
    text = data.get(KEY) if isinstance(data, Mapping) else None
    if not isinstance(text, str):
        raise DamagedError(f"it has no key {KEY}; `backstop reference build` writes one")
    try:
        document = Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(one)[:64] for one in first["loc"])
        said = f"{KEY} is damaged{' at ' + where if where else ''}: {first['msg']}"
        raise DamagedError(said[:300]) from None
    return reference_of(document)


def reference_of(document: Document) -> Reference:
    """Return ``document``, ready to be compared with."""
    shares: dict[str, Histogram | Frequencies] = {**document.features, **document.categories}
    return Reference(
        identity=f"{document.created}/{document.model}/{document.binning}/{document.rows:.0f}",
        model=document.model,
        features={name: _classic(one) for name, one in document.features.items()},
        categories={name: Categories(one.counts) for name, one in document.categories.items()},
        scores=None if document.scores is None else _classic(document.scores),
        predictions=None
        if document.predictions is None
        else Categories(document.predictions.counts),
        missing={name: _missing(one) for name, one in shares.items()},
        sentinels={name: _sentinels(one) for name, one in document.features.items()},
    )


def _classic(histogram: Histogram) -> Classic:
    edges = np.array([*histogram.edges, math.inf], dtype=np.float64)
    return Classic(edges, np.array(histogram.counts, dtype=np.float64))


def _missing(one: Histogram | Frequencies) -> float:
    counts = one.counts if isinstance(one, Histogram) else one.counts.values()
    whole = one.missing + sum(counts)
    return one.missing / whole if whole else 0.0


def _sentinels(histogram: Histogram) -> dict[float, float]:
    whole = sum(histogram.counts)
    return {
        float(value): min(1.0, count / whole)
        for value, count in histogram.sentinels.items()
        if whole
    }
