"""What was judged together stands for a monitor while nothing that it rests on has changed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from backstop.core.samples import Reading, Series
from backstop.core.view import Memory
from backstop.runtime.gather import TIDY_EVERY, Kept, questions
from backstop.runtime.glance import glance, look_at
from backstop.runtime.journal import MAX_BYTES, fit
from backstop.runtime.record import Record, record_of

T0 = 1_700_000_000.0
COMPARED = {"errors": {"requests": "requests_total", "errors": "errors_total"}}


def record(name: str = "a", status: Mapping[str, Any] | None = None) -> Record:
    """Return a monitor with one comparison, under trial since `T0`."""
    spec = {
        "target": {"name": "old", "service": "old", "metricLabels": {"app": "old"}},
        "candidate": {"name": "new", "service": "new", "metricLabels": {"app": "new"}},
        "traffic": {"httpRoute": "r"},
        "signals": [{"name": "vs", "comparison": COMPARED}],
    }
    metadata = {"namespace": "demo", "name": name, "uid": name, "generation": 1}
    body = {
        "metadata": {**metadata, "resourceVersion": "1"},
        "spec": spec,
        "status": {"candidate": {"since": "2023-11-14T22:13:20Z"}} | dict(status or {}),
    }
    return record_of(body, {})


def readings(records: list[Record], now: float = T0 + 300) -> dict[str, Reading]:
    times = np.arange(now - 300, now, 10.0)
    counted = Series({"pod": "a"}, times, 100.0 * np.arange(times.size))
    return dict.fromkeys(questions(records), Reading((counted,)))


def test_monitors_are_judged_together_as_alone():
    """One pass gives each monitor the look that it has by itself."""
    records = [record("a"), record("b")]
    answers = readings(records)
    seen = glance(records, answers, T0 + 300)
    for one in records:
        alone = look_at(one, answers, None, T0 + 300)
        assert alone.histories == seen[one.key].look.histories
        assert look_at(one, answers, seen[one.key], T0 + 300) is seen[one.key].look


@pytest.mark.parametrize("changed", ["inquiries", "memory", "status", "weight"])
def test_a_monitor_that_changed_is_looked_at_again(changed: str):
    """Another spec, memory, begin of the evidence or split of the traffic."""
    one = record()
    answers = readings([one])
    seen = glance([one], answers, T0 + 300)[one.key]
    if changed == "inquiries":
        one.inquiries = dict(one.inquiries)
    elif changed == "memory":
        one.memory = Memory(histories=MappingProxyType({}))
    elif changed == "status":
        one.status = record(status={"evidenceFrom": "2023-11-14T22:13:25Z"}).status
    else:
        one.weight = 0.25
    assert look_at(one, answers, seen, T0 + 300) is not seen.look


def test_an_answer_is_kept_for_as_long_as_it_is_good():
    """Answers about long windows are asked for again when they are old; failures at once."""
    kept, good, failed = Kept(), Reading(read_at=T0), Reading(failure="down")
    asked = {"raw": 0.0, "past": 300.0, "lost": 300.0}
    kept.learn(asked, {"raw": good, "past": good, "lost": failed}, T0)
    assert kept.recall(["past"], T0 + 299) == {"past": good}
    assert kept.recall(["past"], T0 + 300) == {}
    assert kept.recall([], T0 + 300 + TIDY_EVERY) == {}
    assert kept.readings == {}


def test_a_question_of_two_monitors_is_kept_for_the_shorter_time():
    """Each distinct question is asked once."""
    assert questions([record("a"), record("b")]) == questions([record("a")])


# The size of a status


def full_status(lanes: int, **more: Any) -> dict[str, Any]:
    size = -(-8 * (11 + 34 * lanes) // 3) * 4
    tests = [
        {
            "signal": f"signal-{number}",
            "arm": "candidate",
            "since": "2023-11-14T22:13:20.000000Z",
            "until": "2023-11-14T22:23:20.000000Z",
            "state": "A" * size,
        }
        for number in range(4)
    ]
    signals = [
        {
            "name": f"signal-{number}",
            "arm": "candidate",
            "pillar": "system",
            "verdict": "Healthy",
            "why": "w" * 300,
        }
        for number in range(8)
    ]
    return {"tests": tests, "signals": signals, "why": "w" * 1000, **more}


@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_four_comparisons_fit_a_status_with_their_states(lanes: int):
    """Words are left out before the evidence is."""
    small = fit(record(status=full_status(lanes)).status)
    assert len(str(small.to_json())) <= MAX_BYTES
    assert all(test.state for test in small.tests)
    assert len(small.tests) == 4


def test_states_are_left_out_last_and_one_by_one():
    """A status that is full of other things loses the states that do not fit, and nothing else."""
    conditions = [
        {
            "type": f"T{number}",
            "status": "True",
            "reason": "R",
            "message": "m" * 600,
            "lastTransitionTime": "2023-11-14T22:13:20Z",
        }
        for number in range(6)
    ]
    small = fit(record(status=full_status(4, conditions=conditions)).status)
    kept = [bool(test.state) for test in small.tests]
    assert kept == sorted(kept, reverse=True)
    assert kept[0]
    assert not kept[-1]
    assert small.tests[-1].until == small.tests[0].until
    assert len(str(small.to_json())) <= MAX_BYTES
