"""Answers that are good for longer than a round: used again, dropped in time, cheap to find."""

from typing import Any

from backstop.core.samples import Reading
from backstop.runtime.gather import TIDY_EVERY, Kept

GOOD, BAD = Reading(read_at=1.0), Reading(failure="down")


class Walked(dict[Any, Any]):
    """A dict that counts how often all of it is walked through."""

    times = 0

    def items(self) -> Any:
        self.times += 1
        return super().items()


def test_an_answer_is_used_again_while_it_is_good():
    """Failures and answers that are good for the moment only are asked for again."""
    kept = Kept()
    kept.learn({"a": 30.0, "b": 0.0, "c": 30.0}, {"a": GOOD, "b": GOOD, "c": BAD}, 1000.0)
    assert kept.recall(["a", "b", "c", "d"], 1029.9) == {"a": GOOD}
    assert kept.recall(["b"], 1029.9) == {}
    assert kept.recall(["a"], 1030.0) == {}


def test_answers_of_monitors_that_are_gone_are_dropped():
    """Also where the clock is set back."""
    kept = Kept()
    kept.recall([], 1000.0)
    kept.learn({"a": 30.0, "b": 90.0}, {"a": GOOD, "b": GOOD}, 1000.0)
    kept.recall([], 1000.0 + TIDY_EVERY)
    assert kept.readings.keys() == {"b"}
    kept.readings["a"] = (50.0, GOOD)
    kept.recall([], 60.0)
    assert kept.readings.keys() == {"b"}


def test_a_small_round_does_not_walk_through_all_answers():
    """With 10,000 monitors there are tens of thousands, and hundreds of rounds in a second."""
    kept = Kept()
    kept.learn({"a": 30.0}, {"a": GOOD}, 1000.0)
    kept.readings = walked = Walked(kept.readings)
    kept._tidied = 1000.0
    for number in range(100):
        assert kept.recall(["a"], 1000.0 + number / 100) == {"a": GOOD}
    assert walked.times == 0
