"""References as they are stored: what is read back, and what is refused in a sentence."""

import json
import math
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.reference import KEY, DamagedError, Reference, parse

HISTOGRAM = {"edges": [1, 2.5], "counts": [1, 2, 7], "missing": 10, "sentinels": {"-1": 1}}


def parsed(**fields: Any) -> Reference:
    return parse({KEY: json.dumps(fields)})


def test_what_is_stored_is_read_back():
    """Edges end with infinity; shares follow from the counts."""
    found = parsed(
        model="v7",
        rows=20,
        created="2026-01-01T00:00:00+00:00",
        binning="sha256:1",
        features={"amount": HISTOGRAM},
        categories={"land": {"counts": {"x": 3}, "missing": 1}},
        scores={"edges": [0.5], "counts": [4, 6]},
        predictions={"counts": {"yes": 1, "no": 9}},
    )
    amount = found.features["amount"]
    assert amount.edges.tolist() == [1, 2.5, math.inf]
    assert amount.counts.tolist() == [1, 2, 7]
    assert found.categories["land"].counts == {"x": 3}
    assert found.missing == {"amount": 0.5, "land": 0.25}
    assert found.sentinels == {"amount": {-1.0: 0.1}}
    assert found.scores is not None
    assert found.scores.counts.tolist() == [4, 6]
    assert found.predictions is not None
    assert found.predictions.counts == {"yes": 1, "no": 9}
    assert found.identity == "2026-01-01T00:00:00+00:00/v7/sha256:1/20"


def test_an_empty_reference_knows_nothing():
    """That is allowed: what is compared with it says so."""
    found = parsed()
    assert (found.features, found.scores, found.predictions) == ({}, None, None)


def test_a_feature_without_values_has_no_shares():
    """Nothing is divided by zero."""
    found = parsed(features={"a": {**HISTOGRAM, "counts": [0, 0, 0], "missing": 0}})
    assert (found.missing, found.sentinels) == ({"a": 0.0}, {"a": {}})


@pytest.mark.parametrize("data", [None, {}, {"other": "x"}, {KEY: 7}, "text", []])
def test_data_without_a_reference_is_refused(data):
    """The message names the key, and the command that writes it."""
    with pytest.raises(DamagedError, match=r"^it has no key reference.json; `backstop reference"):
        parse(data)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"format": 2}, "format"),
        ({"strange": 1}, "strange"),
        ({"features": {"a": {"edges": [1], "counts": [1]}}}, "features.a"),
        ({"features": {"a": {"edges": [1, 2], "counts": [1, 2]}}}, "features.a"),
        ({"features": {"a": {"edges": [2, 1], "counts": [1, 2, 3]}}}, "features.a"),
        ({"features": {"a": {"edges": [1, 1], "counts": [1, 2, 3]}}}, "features.a"),
        ({"features": {"a": {"edges": [], "counts": [1]}}}, "features.a.edges"),
        ({"features": {"a": {**HISTOGRAM, "counts": [1, -2, 3]}}}, "features.a.counts.1"),
        ({"features": {"a": {**HISTOGRAM, "counts": [1, 2**53, 3]}}}, "features.a.counts.1"),
        ({"features": {"a": {**HISTOGRAM, "edges": [1, math.inf]}}}, "features.a.edges.1"),
        ({"features": {"a": {**HISTOGRAM, "missing": math.nan}}}, "features.a.missing"),
        ({"features": {"a": {**HISTOGRAM, "sentinels": {"x": 1}}}}, "features.a.sentinels.x"),
        ({"features": {"a": {"edges": [*range(250)], "counts": [1] * 251}}}, "features.a.edges"),
        ({"categories": {"a": {"counts": {}}}}, "categories.a.counts"),
        ({"features": dict.fromkeys(map(str, range(5001)), HISTOGRAM)}, "features"),
    ],
)
def test_a_damaged_reference_is_refused(fields, where):
    """The message says where, and shows nothing of the content."""
    with pytest.raises(DamagedError) as refusal:
        parsed(**fields)
    assert str(refusal.value).startswith(f"reference.json is damaged at {where}")
    assert len(str(refusal.value)) <= 300


@given(st.one_of(st.text(max_size=50), st.recursive(st.none() | st.floats() | st.text(), st.lists)))
def test_any_text_is_read_or_refused(content):
    """Never another error."""
    text = content if isinstance(content, str) else json.dumps(content)
    with (
        pytest.raises(DamagedError, match=r"^reference.json is damaged")
        if text != "{}"
        else (nullcontext())
    ):
        parse({KEY: text})
