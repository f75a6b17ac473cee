"""Limits of the fleet across shards: counted from statuses, and for a moment assumed."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, action, episode, spec, status
from tests.runtime.test_fleet import CLOSE, DONE, ELSEWHERE, OPEN, fleet_of, record, seen

from backstop.api.words import ActionState, StepKind
from backstop.core.brakes import hold
from backstop.runtime.fleet import UNSEEN, FleetState
from backstop.runtime.foreign import Foreign, foreign
from backstop.runtime.scheduler import Key

FREEZE = "freeze: 5 of 10 monitors act already"
A, B = ("demo", "a"), ("demo", "b")


def body(
    known: Mapping[str, Any] | None = None, *, uid: str = "a", deleted: bool = False, **changes: Any
) -> dict[str, Any]:
    """Return a ModelMonitor as the API server shows it."""
    metadata = {
        "namespace": "demo",
        "name": "a",
        "uid": uid,
        "generation": 1,
        "resourceVersion": "7",
    }
    if deleted:
        metadata["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    return {
        "metadata": metadata,
        "spec": spec(**changes).to_json(),
        "status": status(**(known or {})).to_json(),
    }


ROLLED_BACK = action(StepKind.ROLLBACK, ActionState.VERIFIED).to_json()


@pytest.mark.parametrize(
    "changes", [{}, {"mode": "Approve"}, {"mode": "Observe"}, {"suspend": True}]
)
@pytest.mark.parametrize(
    "known",
    [
        {},
        {"incident": DONE},
        {"incident": {**DONE, "severity": "P2"}},
        {"incident": {**DONE, "resolved": "2023-11-14T22:13:20Z"}},
        {"incident": episode().to_json(), "action": action(StepKind.ROLLBACK).to_json()},
        {"action": action(StepKind.CLOSE_CIRCUIT).to_json()},
        {"recentActions": [{"last": T0 - 60, "count": 3}, {"last": T0 - 4000, "count": 9}]},
    ],
)
@pytest.mark.parametrize("deleted", [True, False])
def test_a_monitor_counts_the_same_wherever_it_is_acted_on(known, changes, deleted):
    """What its own shard counts from its record, the others count from its object."""
    own = fleet_of(record("a", known=known, deleted=deleted, **changes), record("b"))
    other = fleet_of(record("b"))
    other.saw(A, foreign(body(known, deleted=deleted, **changes)), T0)
    assert other.of(ELSEWHERE, T0) == own.of(ELSEWHERE, T0)
    assert other.of(("demo", "z"), T0) == own.of(("demo", "z"), T0)


def test_a_monitor_whose_status_says_that_its_spec_is_invalid_does_not_count():
    """It may do nothing until it is mended."""
    wrong = body()
    wrong["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "InvalidSpec"}]
    assert not foreign(wrong).may_act
    assert foreign(body()).may_act
    assert not foreign({"metadata": body()["metadata"]}).may_act


def test_what_is_told_again_takes_the_place_of_what_was_told():
    """An action is counted once, however often and in whichever state its monitor is told."""
    made = fleet_of(record("b"))
    planned = {"incident": episode().to_json(), "action": action(StepKind.ROLLBACK).to_json()}
    applied = {"incident": DONE, "recentActions": [{"last": T0 + 1, "count": 1}]}
    for known in (planned, planned, applied, applied):
        made.saw(A, foreign(body(known)), T0)
        found = made.of(B, T0 + 2)
        assert (found.actions, found.namespace_actions, found.acting) == (1, 1, 1)
    made.saw(A, foreign(body({"recentActions": [{"last": T0 + 1, "count": 1}]})), T0)
    found = made.of(B, T0 + 2)
    assert (found.actions, found.acting) == (1, 0)
    assert made.of(B, T0 + 3602).actions == 0


def test_a_deleted_monitor_leaves_its_actions_behind():
    """They were done; one of the same name that is created anew adds its own."""
    known = {"incident": DONE, "recentActions": [{"last": T0, "count": 2}]}
    made = fleet_of(record("b"))
    made.saw(A, foreign(body(known)), T0)
    assert (made.foreign, made.version(A)) == ({A}, "7")
    made.forget(A)
    assert (made.foreign, made.version(A)) == (set(), "")
    found = made.of(B, T0)
    assert (found.monitors, found.acting, found.actions) == (1, 0, 2)
    made.saw(A, foreign(body({"recentActions": [{"last": T0, "count": 5}]}, uid="new")), T0)
    assert made.of(B, T0).actions == 7
    made.saw(A, foreign(body({"recentActions": [{"last": T0, "count": 1}]}, uid="newer")), T0)
    assert made.of(B, T0).actions == 8


def test_taking_over_keeps_what_was_told_of_other_shards():
    """And counts it once."""
    made = fleet_of(record("b"))
    made.saw(A, foreign(body({"incident": DONE, "recentActions": [{"last": T0, "count": 2}]})), T0)
    before = made.of(B, T0)
    made.rebuild([record("b")])
    assert made.of(B, T0) == before
    assert (before.monitors, before.acting, before.actions) == (2, 1, 2)


def frozen(held: str, **changes: Any) -> Foreign:
    """Return a monitor of another shard that is held in an incident."""
    return foreign(body({"incident": episode(**changes).to_json(), "held": held}))


def test_only_the_shard_that_met_the_freeze_first_pages():
    """The others see it in a status; when it has been over for ten minutes all is as before."""
    made = fleet_of(record("b"))
    made.saw(A, frozen(""), T0)
    made.saw(A, frozen(FREEZE), T0)
    assert not made.freeze.tell(T0 + 1)
    made.of(B, T0 + 10)
    made.saw(A, frozen(""), T0 + 20)
    made.of(B, T0 + 609)
    assert not made.freeze.tell(T0 + 609)
    made.of(B, T0 + 700)
    assert made.freeze.tell(T0 + 1300)


@pytest.mark.parametrize(
    "told",
    [
        frozen("2 of 10 monitors act already, and other shards perhaps 3 more just now"),
        frozen(FREEZE, severity="P2"),
        foreign(body({"held": FREEZE})),
    ],
)
def test_a_hold_that_wakes_nobody_keeps_no_other_shard_from_paging(told):
    """A page is left out only where another was sent."""
    made = fleet_of(record("b"))
    made.saw(A, frozen(""), T0)
    made.saw(A, told, T0)
    assert made.freeze.tell(T0 + 1)


def test_a_freeze_that_was_there_before_this_replica_is_told_once_more():
    """As after any restart: whether the page was sent nobody can tell."""
    made = fleet_of(record("b"))
    made.saw(A, frozen(FREEZE), T0)
    assert made.freeze.tell(T0 + 1)


def test_right_after_an_action_the_other_shards_are_taken_to_have_done_the_same():
    """For a second; what is not limited assumes nothing, nor does an only replica."""
    one, other = record("a"), record("b", namespace="far")
    made = FleetState(shards=3)
    made.rebuild([one, other])
    made.admit(seen(one), CLOSE)
    assert made.of(A, T0).assumed_actions == 0
    made.admit(seen(one), OPEN)
    made.admit(seen(one, now=T0 + 0.2), OPEN)
    made.admit(seen(other, now=T0 + 0.5), OPEN)
    found = made.of(("demo", "z"), T0 + 0.9)
    assumed = (found.assumed_actions, found.assumed_namespace_actions, found.assumed_acting)
    assert assumed == (6, 4, 4)
    found = made.of(("demo", "z"), T0 + 1.3)
    assumed = (found.assumed_actions, found.assumed_namespace_actions, found.assumed_acting)
    assert assumed == (2, 0, 2)
    assert made.of(A, T0 + 0.5 + UNSEEN).assumed_actions == 0
    alone = fleet_of(one)
    alone.admit(seen(one), OPEN)
    assert alone.of(A, T0).assumed_actions == 0


SHARDS = 3
KEYS: list[Key] = [(space, name) for space in ("one", "two") for name in "abcdef"]


@given(
    asked=st.lists(
        st.tuples(
            st.integers(0, SHARDS - 1),
            st.sampled_from(KEYS),
            st.sampled_from([0.0, 0.01, 0.2, 0.45, 0.55, 1.0]) | st.floats(0.0, 2.0),
        ),
        max_size=40,
    ),
    behind=st.floats(0.0, UNSEEN / 2),
)
def test_shards_exceed_no_limit_by_more_than_one_each_but_the_first(asked, behind):
    """Whatever they do at the same time, while the watch is at most half a second behind."""
    shards = [FleetState(4, 6, 0.0, 3, shards=SHARDS) for _ in range(SHARDS)]
    records = [record(key[1], namespace=key[0]) for key in KEYS]
    for shard in shards:
        shard.rebuild(records[:1])
    now, done, told = T0, list[tuple[float, int, Key]](), 0
    for number, key, later in asked:
        now += later
        while told < len(done) and done[told][0] <= now - behind:
            _tell(shards, done, told)
            told += 1
        mine = (key[0], f"{key[1]}-{number}")
        one = record(mine[1], namespace=mine[0])
        made = seen(one, now, shards[number].of(mine, now))
        if hold(made, OPEN) is None:
            shards[number].admit(made, OPEN)
            done.append((now, number, mine))
    spare = SHARDS - 1
    assert len(done) <= 6 + spare
    assert all(sum(key[0] == space for _, _, key in done) <= 4 + spare for space in ("one", "two"))
    assert len({key for _, _, key in done}) <= 3 + spare


def _tell(shards: list[FleetState], done: list[tuple[float, int, Key]], last: int) -> None:
    """Tell all other shards of an action, as a watch does: with all that its monitor did so far."""
    _, number, key = done[last]
    actions = tuple((at, 1) for at, _, other in done[: last + 1] if other == key)
    for place, shard in enumerate(shards):
        if place != number:
            shard.saw(key, Foreign("uid", str(last), True, True, actions=actions), done[last][0])
