"""What is outside answers as ever, and is counted as it does."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from backstop.core.samples import Reading
from backstop.ports import UnavailableError
from backstop.runtime import measured
from backstop.runtime.measured import MeasuredKillSwitch, MeasuredSource
from backstop.runtime.metrics import REGISTRY

GOOD, WRONG, LOST = Reading(), Reading(failure="no", bad_query=True), Reading(failure="down")


class Answers:
    """A metrics source that answers what it is told to."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = readings

    async def read(self, queries: Sequence[str]) -> Mapping[str, Reading]:
        return dict(zip(queries, self.readings, strict=True))


class Switch:
    """A kill switch whose answers are given in advance; the last one is repeated."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)

    async def engaged(self) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"backstop_{name}", labels)


async def test_a_source_begins_at_zero_and_its_state_is_not_known():
    """So that the first failure can be seen to be one more, and a standby does not call it down."""
    MeasuredSource("fresh", Answers())
    for result in ("answered", "rejected", "failed"):
        assert value("source_reads_total", source="fresh", result=result) == 0
    assert value("source_up", source="fresh") is None


@pytest.mark.parametrize(
    ("readings", "up"),
    [((GOOD, LOST), 1), ((LOST, LOST), 0), ((WRONG, LOST), 1), ((GOOD,), 1), ((WRONG,), 1)],
)
async def test_a_source_is_up_while_it_answers_anything(readings, up):
    """A question that it rejects is an answer, too: it is the question that is wrong."""
    name = f"s{len(readings)}{up}{readings[0].failure}"
    source = MeasuredSource(name, Answers(*readings))
    asked = [f"q{place}" for place in range(len(readings))]
    assert await source.read(asked) == dict(zip(asked, readings, strict=True))
    assert value("source_up", source=name) == up
    counts = [
        value("source_reads_total", source=name, result=result)
        for result in ("answered", "rejected", "failed")
    ]
    assert counts == [readings.count(one) for one in (GOOD, WRONG, LOST)]
    assert value("source_read_seconds_count", source=name) == 1


async def test_a_round_without_questions_tells_nothing_of_a_source():
    """It stays as it was."""
    source = MeasuredSource("idle", Answers())
    assert await source.read([]) == {}
    assert value("source_up", source="idle") is None


@pytest.mark.parametrize(("said", "engaged"), [("", 0), ("migration", 1)])
async def test_the_kill_switch_is_told_as_it_was_last_read(said, engaged):
    """And answers what it says."""
    assert await MeasuredKillSwitch(Switch(said)).engaged() == said
    assert value("kill_switch_engaged") == engaged


async def test_a_kill_switch_that_cannot_be_read_counts_as_on():
    """As it does for whoever wants to act, who gets the error."""
    switch = MeasuredKillSwitch(Switch("", UnavailableError("down")))
    await switch.engaged()
    with pytest.raises(UnavailableError):
        await switch.engaged()
    assert value("kill_switch_engaged") == 1


async def test_the_kill_switch_is_watched_while_nothing_is_to_be_done(monkeypatch):
    """Also after it could not be read for a while."""
    monkeypatch.setattr(measured, "LOOK_EVERY", 0.0)
    await MeasuredKillSwitch(Switch("")).engaged()
    switch = Switch("", UnavailableError("down"), "stop")
    task = asyncio.create_task(MeasuredKillSwitch(switch).watch())
    await asyncio.sleep(0.05)
    task.cancel()
    assert switch.answers == ["stop"]
    assert value("kill_switch_engaged") == 1
