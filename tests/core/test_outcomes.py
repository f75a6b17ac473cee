"""What a kind measures one by one becomes a verdict and is remembered, whatever else it carries."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.core.build import T0, asked, series
from tests.core.watcher import Watcher, gauge

from backstop.api.words import Verdict
from backstop.core.judging import look, look_all
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    UnknownReason,
    Usual,
)
from backstop.core.samples import Reading, Series
from backstop.core.signals.rule import Asked, Rule, Subject
from backstop.core.tally import Tally
from backstop.core.verdicts import Sight

USUAL = Usual(1.0, T0, ("age",), np.zeros((1, 1)))


class Fixed(Rule):
    """A kind that has measured already."""

    KIND: ClassVar[str] = ""

    found: Any

    @property
    def pillar(self) -> Pillar | None:
        """Any; see :attr:`Rule.pillar`."""
        return None

    def questions(self, _subject: Subject, _window: float) -> Mapping[str, Question]:
        """Return one gauge."""
        return {"value": Question("gauge", raw=True)}

    def measure(self, _asked: Asked, _tally: Tally) -> Measured:
        """Return what was given."""
        return self.found


class Named(Fixed):
    """A kind that says what it was told of its ConfigMap."""

    found: Any = None

    @property
    def config_map(self) -> str | None:
        """Return the name of the ConfigMap."""
        return "past"

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return what is missing."""
        assert isinstance(asked.reference, Missing)
        return asked.reference


def watcher(found: Measured, min_samples: int = 0) -> Watcher:
    """Look at a signal that amounts to this."""
    one = Watcher(gauge(persistence={"breaches": 1, "looks": 1}))
    one.inquiry = replace(
        asked(gauge()),
        rule=Fixed(found=found),
        questions={"value": Question("gauge", raw=True)},
        min_samples=min_samples,
    )
    return one


@pytest.mark.parametrize(
    "found",
    [
        Measurement(1.0, breached=False, said="fine", state="counted", until=T0),
        Measurement(1.0, breached=False, said="fine", samples=1, state="counted", until=T0),
        Missing(UnknownReason.NO_DATA, "nothing", state="counted", until=T0),
    ],
)
def test_a_sequential_test_counts_on_without_a_verdict(found: Measured):
    """Its state is carried to the next look, however little evidence there is for a verdict."""
    one = watcher(found, min_samples=10)
    one.sees(1)
    assert (one.history.state, one.history.until) == ("counted", T0)


@pytest.mark.parametrize("samples", [1, 100])
def test_what_is_usual_is_remembered(samples: int):
    """Also where there is too little evidence for a verdict."""
    found = Measurement(1.0, breached=False, said="fine", samples=samples, usual=USUAL)
    one = watcher(found, min_samples=10)
    one.sees(1)
    assert one.history.usual is USUAL


@pytest.mark.parametrize(
    ("samples", "proven", "certain"), [(100, True, True), (100, False, False), (1, True, False)]
)
def test_only_a_verdict_is_certain(samples, proven, certain):
    """A proof with too little evidence is no verdict, so it proves nothing."""
    found = Measurement(1.0, breached=False, said="fine", samples=samples, proven=proven)
    verdict = watcher(found, min_samples=10).sees(1)
    assert verdict.proven is certain
    assert (verdict.verdict is Verdict.HEALTHY) is (samples > 10)


def test_a_first_broken_look_says_what_was_measured():
    """The words of a kind that measures one by one stand in the verdict."""
    one = watcher(Measurement(1.0, breached=True, said=lambda: "7 of 9"))
    one.inquiry = replace(one.inquiry, breaches=2, looks=3)
    assert one.sees(1).why == "7 of 9; broken in 1 of 1 looks"


def test_a_question_that_was_not_asked_yet_is_awaited():
    """A signal that changed within a round has its answer at the next look."""
    one = asked(gauge())
    key = (one.name, one.arm)
    (found,) = look({key: one}, {}, {}, evidence_from={one.arm: 0.0}, now=T0).verdicts
    assert (found.reason, found.why) == ("WarmingUp", "the question is asked at the next look")


def test_a_native_histogram_is_no_number():
    """An expression that returns one is told what to put around it."""
    one = Series({}, np.array([T0]), np.array([math.nan]), buckets=((0, 0.0, 1.0, 5.0),))
    found = Watcher(gauge()).counts(value=[one])
    assert found.reason == "BadQuery"
    assert "histogram_quantile" in found.why


@pytest.mark.parametrize(
    ("references", "why"),
    [
        ({}, "ConfigMap past is read before the next look"),
        ({"past": Missing(UnknownReason.NO_DATA, "it is gone")}, "it is gone"),
    ],
)
def test_a_reference_is_what_was_read_of_its_config_map(references, why):
    """Until it was read there is none; what was read, or why it was not, is handed to the kind."""
    one = replace(asked(gauge()), rule=Named())
    held = {question.promql: Reading((series([1]),)) for question in one.questions.values()}
    sight = Sight({(one.name, one.arm): one}, {}, {one.arm: 0.0}, references=references)
    (found,) = look_all([sight], held, now=T0)
    assert found.verdicts[0].why == why


@pytest.mark.parametrize(("value", "verdict"), [(0.0, Verdict.HEALTHY), (7.5, Verdict.BREACHED)])
def test_a_verdict_carries_the_value_that_was_measured_one_by_one(value, verdict):
    """Zero is a value; too little evidence has none."""
    breached = verdict is Verdict.BREACHED
    one = watcher(Measurement(value, breached=breached, said="so", samples=10))
    one.inquiry = replace(one.inquiry, breaches=1, looks=1)
    found = one.sees(1)
    assert (found.verdict, found.value) == (verdict, value)
    one.inquiry = replace(one.inquiry, min_samples=11)
    assert one.sees(1).value is None


def test_a_verdict_carries_the_value_that_was_measured_in_columns():
    """The newest of a gauge; no sample, no value."""
    one = Watcher(gauge(persistence={"breaches": 1, "looks": 1}))
    assert [one.sees(value).value for value in (0.0, 3.0, 11.0)] == [0.0, 3.0, 11.0]
    assert one.sees().value is None
