"""Steps count every event once, whenever one looks, and nothing that is no evidence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0

from backstop.core import steps
from backstop.core.samples import Series
from backstop.core.steps import Clockwork, clockwork

NEVER = 0.0


def counter(times, values, pod: str = "a", **labels: str) -> Series:
    return Series({"pod": pod, **labels}, np.array(times, float), np.array(values, float))


def steady(begin: float, end: float, pod: str = "a", *, every: float = 10.0, per: float = 1.0):
    """Return a counter that grows by one per second since `T0` - 1000."""
    times = np.arange(begin, end, every)
    return counter(times, per * (times - T0 + 1000.0), pod)


def clock(*arms, since=NEVER, until=NEVER, warmup=0.0, length=None) -> Clockwork:
    found = clockwork(
        [{"requests": list(arm)} for arm in arms],
        length=length,
        since=since,
        until=until,
        warmup=warmup,
    )
    assert found is not None
    return found


def total(found: Clockwork, series: Series) -> float:
    return float(found.count([series]).sum())


# What a step is


def test_a_step_holds_a_scrape_of_every_target_and_is_a_bit_longer_than_an_interval():
    """Steps end at multiples of nine eighths of the interval, whatever the scrapes' phases are."""
    one = clock([steady(T0, T0 + 300)], [steady(T0 + 4, T0 + 300, "b")])
    assert one.length == 11.25
    assert (one.bounds % 11.25 == 0.0).all()
    assert (one.count([steady(T0, T0 + 300)]) >= 10.0).all()


@pytest.mark.parametrize(
    ("every", "length"), [(0.1, 0.5625), (1.0, 1.125), (15.0, 16.875), (29.9, 33.75), (60.1, 67.5)]
)
def test_the_length_of_a_step_does_not_depend_on_jitter(every: float, length: float):
    """A scrape interval that is measured a little differently each time gives the same steps."""
    jittered = np.arange(T0, T0 + 600, every)
    jittered += np.random.default_rng(1).uniform(-0.02, 0.02, jittered.size) * min(every, 1.0)
    one = counter(jittered, np.arange(jittered.size))
    assert clock([one]).length == length


def test_the_arm_that_is_scraped_more_seldom_sets_the_length():
    """Every step holds scrapes of both arms, though one is scraped every 5 s and one every 30 s."""
    often, seldom = steady(T0, T0 + 300, every=5.0), steady(T0, T0 + 300, "b", every=30.0)
    found = clock([often], [seldom])
    assert found.length == 33.75
    assert (found.count([often]) > 0.0).all()
    assert (found.count([seldom]) > 0.0).all()


def test_a_written_length_is_kept_unless_it_is_shorter_than_an_interval():
    """A step of 60 s is one; a step of 2 s with scrapes every 10 s would lose what it counts."""
    one = steady(T0, T0 + 300)
    assert clock([one], length=60.0).length == 60.0
    assert clock([one], length=2.0).length == 11.25


def test_there_are_no_steps_until_each_arm_was_scraped_twice():
    """The rhythm of an arm is unknown before, so its steps are as well."""
    once, never = [counter([T0], [1.0], "b")], [counter([], [], "b")]
    for other in (once, never, []):
        arms = [{"requests": [steady(T0, T0 + 100)]}, {"requests": other}]
        assert clockwork(arms, length=None, since=0.0, until=0.0, warmup=0.0) is None


def test_no_more_steps_are_counted_in_one_look_than_a_limit(monkeypatch):
    """A long gap cannot make one look take arbitrarily long."""
    monkeypatch.setattr(steps, "MOST", 5)
    assert clock([steady(T0, T0 + 300)]).size == 5


# Every event once


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_every_event_counts_once_however_one_looks(seed: int, looks: int):
    """The steps of several looks are the steps of one, for any phases, jitter and resets."""
    random = np.random.default_rng(seed)
    arms = [[_wild(random, f"{arm}{n}") for n in range(3)] for arm in range(2)]
    at_once = clock(*arms, since=T0 + 40)
    expected = [at_once.count(arm) for arm in arms]
    seen: list[list[float]] = [[], []]
    until = NEVER
    for now in [*sorted(random.uniform(T0 + 60, T0 + 300, looks)), T0 + 301]:
        shown = [[_until(one, now) for one in arm] for arm in arms]
        found = clock(*shown, since=T0 + 40, until=until)
        until = found.until
        for counts, arm in zip(seen, shown, strict=True):
            counts.extend(found.count(arm))
    assert until == at_once.until
    for counts, wanted in zip(seen, expected, strict=True):
        assert np.array_equal(counts, wanted)


def _wild(random: np.random.Generator, pod: str) -> Series:
    times = np.arange(T0 + random.uniform(0, 10), T0 + 300, 10.0)
    times += random.uniform(-0.1, 0.1, times.size)
    grown = random.poisson(20.0, times.size).astype(float)
    values = np.cumsum(grown)
    for at in random.integers(1, times.size, random.integers(0, 3)):
        values[at:] -= values[at] - grown[at]
    return counter(times, np.maximum(values, 0.0), pod)


def _until(one: Series, now: float) -> Series:
    return Series(one.labels, one.times[one.times <= now], one.values[one.times <= now])


def test_a_reset_counts_from_zero():
    """A counter that restarts adds its new value: 100 to 150, then 20 and 30."""
    one = counter(T0 + 10.0 * np.arange(8), [50, 100, 150, 20, 50, 80, 80, 80])
    assert total(clock([one]).at_once(), one) == 50 + 50 + 20 + 30 + 30


def test_a_sample_at_the_end_of_a_step_belongs_to_it():
    """Steps hold what was scraped after their begin and not after their end."""
    one = counter(T0 + 20.0 * np.arange(6), [0, 1, 3, 7, 15, 31])
    found = clock([one], length=40.0)
    inside = (found.bounds[:-1, None] < one.times) & (one.times <= found.bounds[1:, None])
    assert found.count([one]).tolist() == [
        np.diff(one.values, prepend=0.0)[places].sum() for places in inside
    ]


def test_a_step_counts_once_all_targets_were_scraped_after_its_end():
    """One slow scrape holds the steps back, so nothing comes too late for its step."""
    fast, slow = steady(T0, T0 + 200), steady(T0, T0 + 185, "b")
    assert clock([fast, slow]).until < slow.times[-1] - 11.25 < clock([fast]).until


def test_a_vanished_pod_is_not_waited_for():
    """What the others do counts on, once a pod has not been scraped for 2.5 intervals."""
    gone = steady(T0, T0 + 100, "b")
    assert clock([steady(T0, T0 + 111), gone]).until <= T0 + 90 - 11.25
    assert clock([steady(T0, T0 + 121), gone]).until > T0 + 90 - 11.25


def test_a_pod_that_was_not_scraped_for_a_while_loses_nothing():
    """What it counted meanwhile is in the step of the first scrape after the outage."""
    others, whole = steady(T0, T0 + 300), steady(T0, T0 + 300, "b")
    kept = (whole.times < T0 + 100) | (whole.times > T0 + 170)
    out = Series(whole.labels, whole.times[kept], whole.values[kept])
    found = clock([others, out])
    assert total(found, out) == total(found, whole)


def test_a_scrape_that_not_every_answer_holds_yet_is_waited_for():
    """A torn scrape at the end of a step leaves the step to the next look."""
    end = 20.0 * math.ceil(T0 / 20.0) + 200.0
    lag = 11.25
    times = end - 20.0 + lag - 10.0 * np.arange(20)[::-1]
    requests, errors = counter(times, np.arange(20)), counter(times[:-1], np.arange(19))
    whole = {"requests": [requests], "errors": [counter(times, np.arange(20))]}
    torn = {"requests": [requests], "errors": [errors]}
    arguments = {"length": 20.0, "since": 0.0, "until": 0.0, "warmup": 0.0}
    complete, cut = clockwork([whole], **arguments), clockwork([torn], **arguments)
    assert complete is not None
    assert cut is not None
    assert complete.until == end - 20.0
    assert cut.until == end - 40.0


def test_a_counter_that_ended_long_ago_is_not_waited_for():
    """After a restart a pod may export no errors counter until the first error."""
    arm = {"requests": [steady(T0, T0 + 300)], "errors": [steady(T0, T0 + 100)]}
    found = clockwork([arm], length=None, since=0.0, until=0.0, warmup=0.0)
    assert found is not None
    assert found.until > T0 + 260


# New pods, and what is no evidence


def test_a_new_pod_counts_from_its_first_request_without_warmup():
    """Others were scraped before it, so its counters began at zero."""
    new = counter(T0 + 100 + 10.0 * np.arange(15), 7.0 + np.arange(15), "b")
    found = clock([steady(T0, T0 + 245), new])
    assert total(found.at_once(), new) == new.values[new.times <= found.until][-1]


@pytest.mark.parametrize("jitter", [-0.01, 0.0, 0.01])
def test_a_new_pod_counts_after_its_warmup_only(jitter: float):
    """What comes up to the first scrape at or after the warm-up is left out, with any jitter."""
    times = T0 + 100 + 10.0 * np.arange(15)
    times[3] += jitter
    hot = np.cumsum(np.where(np.arange(15) <= 3, 1000.0, 0.0))
    new = counter(times, hot, "b")
    late = counter(times, np.cumsum(np.where(np.arange(15) > 4, 1.0, 0.0)), "b")
    found = clock([steady(T0, T0 + 245), new], warmup=30.0)
    assert total(found.at_once(), new) == 0.0
    assert total(found.at_once(), late) == late.values[late.times <= found.until][-1]


def test_a_new_pod_does_not_count_while_it_warms_up():
    """Before its warm-up is over there is no scrape to count from."""
    new = steady(T0 + 220, T0 + 245, "b")
    assert total(clock([steady(T0, T0 + 245), new], warmup=60.0).at_once(), new) == 0.0


def test_pods_that_are_all_new_are_warmed_up_as_well():
    """Where samples begin nobody knows what is new, so steps begin after a warm-up."""
    found = clock([steady(T0, T0 + 245)], [steady(T0, T0 + 245, "b")], warmup=60.0)
    assert T0 + 60 <= found.bounds[0] < T0 + 60 + found.length


def test_what_was_scraped_before_the_evidence_begins_does_not_count():
    """Not even as a part of the first difference."""
    times = T0 + 10.0 * np.arange(30)
    one = counter(times, np.cumsum(np.where(times <= T0 + 110, 500.0, 0.0)))
    found = clock([one], since=T0 + 105)
    assert total(found.at_once(), one) == 0.0
    assert found.count([one]).sum() == 0.0


def test_a_pod_that_is_as_old_as_the_evidence_does_not_count_from_zero():
    """Its first requests may have come before the evidence began."""
    new = counter(T0 + 100 + 10.0 * np.arange(15), 900.0 + np.arange(15), "b")
    found = clock([steady(T0, T0 + 245), new], since=T0 + 95)
    assert total(found.at_once(), new) < 20.0


def test_a_counter_that_appears_on_a_known_target_started_from_zero():
    """The first error of a pod counts, though its series did not exist before."""
    errors = counter(T0 + 200 + 10.0 * np.arange(5), [3, 3, 4, 4, 4])
    found = clock([steady(T0, T0 + 245), errors])
    assert total(found.at_once(), errors) == 4.0


def test_a_counter_whose_first_scrape_is_missing_does_not_count_from_zero():
    """Questions reach back to slightly different times, and a counter is older than the window."""
    full = steady(T0, T0 + 300)
    arm = {"requests": [full], "errors": [Series({"pod": "a"}, full.times[1:], full.values[1:])]}
    found = clockwork([arm], length=None, since=0.0, until=0.0, warmup=0.0)
    assert found is not None
    assert found.count(arm["errors"]).max() < 30.0


def test_after_a_gap_that_the_samples_do_not_bridge_counting_begins_anew():
    """Nothing is made up for the time without samples: steps begin where samples are complete."""
    one = steady(T0 + 1000, T0 + 1300)
    found = clock([one], since=T0, until=T0 + 100)
    assert T0 + 1010 <= found.bounds[0] < T0 + 1010 + found.length


def test_after_a_gap_that_the_samples_bridge_counting_goes_on():
    """Steps go on exactly where the last look ended, be it at the end of a step or not."""
    one = steady(T0, T0 + 300)
    until = clock([one]).bounds[3]
    assert clock([one], until=until).bounds[0] == until
    odd = clock([one], until=until + 3.0)
    assert odd.bounds[:2].tolist() == [until + 3.0, until + 11.25]


# When all targets count


def test_a_step_is_settled_while_every_target_counts_from_its_begin_on():
    """Neither while a pod warms up, nor in the step in which evidence begins."""
    old, new = steady(T0, T0 + 300), steady(T0 + 155, T0 + 300, "b")
    found = clock([old, new], since=T0 + 50, warmup=40.0)
    begins, ends = found.bounds[:-1], found.bounds[1:]
    warming = (ends >= T0 + 155) & (begins < T0 + 195)
    assert found.settled().tolist() == (~warming & (begins >= T0 + 50)).tolist()


def test_whether_a_step_is_settled_does_not_depend_on_when_one_looks():
    """A pod that appears later does not change what was said of a step."""
    old, new = steady(T0, T0 + 300), steady(T0 + 155, T0 + 300, "b")
    for now in np.arange(T0 + 170, T0 + 300, 7.0):
        early = clock([_until(old, now), _until(new, now)], warmup=40.0)
        late = clock([old, new], warmup=40.0)
        assert late.settled()[: early.size].tolist() == early.settled().tolist()


# Numbers that are none


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0, 1e308, 2.0**53 + 2])
def test_a_number_that_is_no_count_spoils_only_the_steps_it_is_part_of(bad: float):
    """The steps of the sample and of the next one are nan; the others are as they would be."""
    good = steady(T0, T0 + 300)
    values = good.values.copy()
    values[15] = bad
    broken = Series(good.labels, good.times, values)
    found = clock([good])
    counts, wanted = found.count([broken]), found.count([good])
    spoiled = np.searchsorted(found.bounds, good.times[15:17]) - 1
    assert np.isnan(counts[spoiled]).all()
    assert np.array_equal(np.delete(counts, spoiled), np.delete(wanted, spoiled))


def test_nothing_counts_nothing():
    """No series, empty series and no steps are zeros."""
    found = clock([steady(T0, T0 + 300), counter([], [], "b")])
    assert not found.count([]).any()
    assert not found.count([counter([], [], "b")]).any()
    assert clock([steady(T0, T0 + 25)]).count([steady(T0, T0 + 25)]).size == 0
