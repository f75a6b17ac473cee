"""The state of a sequential test is kept to the bit, or it is no state at all."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.rollout import COMPARED, T0

from backstop.core import evidence_state
from backstop.core.evidence_state import EvidenceState, begin, fingerprint, mark, resume
from backstop.core.signals.comparison import Comparison

RULE = fingerprint(Comparison.model_validate(COMPARED))
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def some(seed: int, lanes: int) -> EvidenceState:
    random = np.random.default_rng(seed)
    fresh = begin(RULE, lanes, T0, 0.05)
    return replace(
        fresh,
        candidate=random.uniform(0, 1e9),
        worst=random.normal(),
        routed=(random.uniform(0, 9), random.uniform(0, 9)),
        left_out=mark("pod"),
        events=random.uniform(0, 1e9, fresh.events.shape),
        worse=random.normal(0, 100, fresh.worse.shape),
        mirror=random.normal(0, 100, fresh.mirror.shape),
    )


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_state_is_resumed_bit_for_bit(seed: int, lanes: int):
    """Every number of every lane is the one that was packed."""
    packed = some(seed, lanes).pack()
    resumed = resume(RULE, lanes, packed)
    assert resumed is not None
    assert resumed.pack() == packed
    assert len(packed) <= 2048


@given(st.integers(0, 2**32), st.data())
def test_a_text_of_which_any_character_is_changed_is_no_state(seed: int, data: st.DataObject):
    """No damage makes evidence."""
    packed = some(seed, 1).pack()
    place = data.draw(st.integers(0, len(packed) - 1))
    other = data.draw(st.sampled_from("ABCxyz019+/="))
    changed = packed[:place] + other + packed[place + 1 :]
    assert (resume(RULE, 1, changed) is None) is (changed != packed)


@given(st.text(max_size=600))
def test_any_text_is_no_state(text: str):
    """Whatever somebody writes into a status."""
    assert resume(RULE, 1, text) is None


def test_the_state_of_another_test_is_no_state():
    """Another rule, another release and another number of lanes."""
    packed = some(1, 2).pack()
    rule = Comparison.model_validate({**COMPARED, "margin": "1.5"})
    assert resume(fingerprint(rule), 2, packed) is None
    assert resume(fingerprint(Comparison.model_validate(COMPARED), "1.0"), 2, packed) is None
    assert resume(RULE, 1, packed) is None
    assert resume(RULE, 3, packed) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_state_that_is_no_number_is_not_packed(bad: float):
    """It would be refused when it is read."""
    with pytest.raises(ValueError, match="finite"):
        replace(begin(RULE, 1, T0), worst=bad).pack()


def test_a_new_weight_counts_the_split_anew():
    """From then on, and only if it is another one."""
    state = some(1, 1)
    assert state.routed_by(0.05, T0 + 9) is state
    anew = state.routed_by(0.1, T0 + 9)
    assert (anew.weight, anew.routed, anew.routed_steps, anew.routed_from) == (
        0.1,
        (0.0, 0.0),
        0.0,
        T0 + 9,
    )


def test_no_pod_is_marked_as_none(monkeypatch):
    """Zero means that no pod is left out."""
    monkeypatch.setattr(evidence_state, "crc32", lambda _data: 0)
    assert mark("a") == 1.0
