"""What all monitors do together: counted at once, the same after a restart, told once."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, action, episode, spec, status, view

from backstop.api.words import ActionState, StepKind
from backstop.core.brakes import hold
from backstop.core.fleet import Fleet
from backstop.core.view import Step, View
from backstop.runtime.fleet import FleetState, Freeze
from backstop.runtime.record import Record, record_of
from backstop.runtime.scheduler import Key

S, A = StepKind, ActionState
OPEN = Step(S.OPEN_CIRCUIT, "id", "because")
CLOSE = Step(S.CLOSE_CIRCUIT, "id", "because")
DONE = episode(actions=[action(S.ROLLBACK, A.VERIFIED).to_json()]).to_json()


def record(
    name: str = "a",
    *,
    namespace: str = "demo",
    known: Mapping[str, Any] | None = None,
    uid: str = "",
    deleted: bool = False,
    **changes: Any,
) -> Record:
    """Return a monitor in mode Act with this status."""
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": uid or name,
        "generation": 1,
        "resourceVersion": "1",
    }
    if deleted:
        metadata["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    body = {
        "metadata": metadata,
        "spec": spec(**changes).to_json(),
        "status": status(**(known or {})).to_json(),
    }
    return record_of(body, {})


def fleet_of(*records: Record) -> FleetState:
    """Return the state that these monitors make."""
    made = FleetState()
    made.rebuild(records)
    return made


def seen(one: Record, now: float = T0, fleet: Fleet | None = None, **changes: Any) -> View:
    """Return the view of a monitor that is in an incident, unless said otherwise."""
    known = {"status": status(incident=episode().to_json()), **changes}
    return view(now=now, namespace=one.namespace, name=one.name, fleet=fleet or Fleet(), **known)


ELSEWHERE: Key = ("other", "z")


def test_the_limits_are_those_of_the_configuration():
    """And why all is stopped is handed through."""
    made = FleetState(1, 2, 0.5, 3)
    assert made.of(ELSEWHERE, T0, "stop") == Fleet(
        stopped="stop",
        monitors=1,
        namespace_actions_per_hour=1,
        actions_per_hour=2,
        blast_radius=0.5,
        blast_radius_at_least=3,
    )


@pytest.mark.parametrize(
    ("changes", "watched"),
    [
        ({}, True),
        ({"mode": "Approve"}, True),
        ({"mode": "Observe"}, False),
        ({"suspend": True}, False),
        ({"deleted": True}, False),
    ],
)
def test_only_monitors_that_may_act_count(changes, watched):
    """Neither as one of all, nor as one that acts."""
    made = fleet_of(record("b"), record("c"), record(known={"incident": DONE}, **changes))
    found = made.of(ELSEWHERE, T0)
    assert (found.monitors, found.acting) == ((3, 1) if watched else (2, 0))


def test_a_monitor_whose_spec_is_invalid_does_not_count():
    """It may do nothing until it is mended."""
    broken = record()
    broken.spec = None
    assert fleet_of(broken, record("b"), record("c")).of(ELSEWHERE, T0).monitors == 2


@pytest.mark.parametrize(
    ("known", "acting"),
    [
        ({}, 0),
        ({"incident": episode().to_json()}, 0),
        ({"incident": DONE}, 1),
        ({"incident": {**DONE, "severity": "P2"}}, 0),
        ({"incident": {**DONE, "resolved": "2023-11-14T22:13:20Z"}}, 0),
        ({"incident": episode().to_json(), "action": action(S.ROLLBACK).to_json()}, 1),
        ({"incident": episode().to_json(), "action": action(S.NOTIFY).to_json()}, 0),
        ({"incident": episode(actions=[action(S.NOTIFY, A.VERIFIED).to_json()]).to_json()}, 0),
        (
            {
                "incident": episode(
                    actions=[action(S.ROLLBACK, A.FAILED, applied_at=None).to_json()]
                ).to_json()
            },
            0,
        ),
    ],
)
def test_a_monitor_acts_once_something_was_done_or_is_about_to_be(known, acting):
    """In an incident that is under way and more than a report; one does not count itself."""
    one = record(known=known)
    made = fleet_of(one)
    assert made.of(ELSEWHERE, T0).acting == acting
    assert made.of(one.key, T0).acting == 0


def test_an_action_counts_as_soon_as_it_is_admitted():
    """In its namespace, everywhere, and as one more monitor that acts; before it is done."""
    one, other = record(), record("b", namespace="far")
    made = fleet_of(one, other)
    made.admit(seen(one), OPEN)
    near, far = made.of(("demo", "z"), T0), made.of(other.key, T0)
    assert (near.namespace_actions, near.actions, near.acting) == (1, 1, 1)
    assert (far.namespace_actions, far.actions, far.acting) == (0, 1, 1)


def test_what_came_to_nothing_is_taken_back():
    """A conflict, or a kill switch, leaves the place to others."""
    one = record()
    made = fleet_of(one)
    before = made.of(ELSEWHERE, T0)
    made.admit(seen(one), OPEN)
    made.withdraw(one, seen(one), OPEN)
    assert made.of(ELSEWHERE, T0) == before
    assert made.of(one.key, T0).namespace_actions == 0


@pytest.mark.parametrize(("step", "changes"), [(CLOSE, {}), (OPEN, {"spec": spec(mode="Observe")})])
def test_what_is_not_limited_is_not_counted(step, changes):
    """What gives traffic back is free, and in mode Observe nothing happens."""
    one = record()
    made = fleet_of(one)
    before = made.of(ELSEWHERE, T0)
    made.admit(seen(one, **changes), step)
    assert made.of(ELSEWHERE, T0) == before
    made.withdraw(one, seen(one, **changes), step)
    assert made.of(ELSEWHERE, T0) == before


@pytest.mark.parametrize("incident", [None, episode(severity="P2").to_json()])
def test_an_action_outside_an_incident_counts_but_joins_nobody(incident):
    """The next step of a candidate is no sign that something is wrong."""
    one = record()
    made = fleet_of(one)
    made.admit(seen(one, status=status(incident=incident)), OPEN)
    assert (made.of(ELSEWHERE, T0).actions, made.of(ELSEWHERE, T0).acting) == (1, 0)


def test_an_action_counts_for_an_hour():
    """Then the place is free again."""
    one = record()
    made = fleet_of(one)
    made.admit(seen(one), OPEN)
    made.admit(seen(one, now=T0 + 1800), OPEN)
    counts = [made.of(one.key, T0 + later).actions for later in (1800, 3599, 3600, 5400)]
    assert counts == [2, 2, 1, 0]
    assert made.of(one.key, T0 + 5400).namespace_actions == 0


def test_actions_of_the_future_count_for_an_hour_from_now():
    """A replica whose clock was two hours ahead must not use up the budget of three hours."""
    known = {"recent_actions": [{"last": T0 - 60, "count": 1}, {"last": T0 + 7200, "count": 3}]}
    made = fleet_of(record(known=known))
    counts = [made.of(ELSEWHERE, T0 + after).actions for after in (0, 3539, 3541, 3599, 3601)]
    assert counts == [4, 4, 3, 3, 0]


def test_after_a_restart_the_statuses_tell_what_was_done():
    """Also what is planned and will be resumed; what gives traffic back not."""
    actions = [{"last": T0 - 4000, "count": 9}, {"last": T0 - 60, "count": 3}]
    planned = action(S.ROLLBACK, planned_at=T0 - 5).to_json()
    closing = action(S.CLOSE_CIRCUIT, planned_at=T0 - 5).to_json()
    made = fleet_of(
        record("a", known={"recentActions": actions, "action": planned}),
        record("b", known={"recentActions": actions, "action": closing}),
        record("c", namespace="far", known={"recentActions": actions}),
    )
    found = made.of(("demo", "a"), T0)
    assert (found.namespace_actions, found.actions) == (7, 10)


def test_a_status_is_counted_once():
    """A monitor that is updated with each pass brings its past along only when first seen."""
    one = record(known={"recentActions": [{"last": T0, "count": 2}]})
    made = fleet_of(one)
    made.update(one)
    assert made.of(one.key, T0).actions == 2
    made.rebuild([one])
    assert made.of(one.key, T0).actions == 2
    made.update(record(uid="again", known={"recentActions": [{"last": T0, "count": 5}]}))
    assert made.of(one.key, T0).actions == 7


def test_an_update_takes_over_what_has_changed():
    """An incident that ended, a mode that was changed."""
    one = record(known={"incident": DONE})
    made = fleet_of(one, record("b"))
    assert made.of(ELSEWHERE, T0).acting == 1
    one.status = status()
    made.update(one)
    assert made.of(ELSEWHERE, T0).acting == 0
    made.update(record(mode="Observe"))
    assert made.of(ELSEWHERE, T0).monitors == 1


def test_a_deleted_monitor_leaves_its_actions_behind():
    """They were done; it acts no more."""
    one = record(known={"incident": DONE, "recentActions": [{"last": T0, "count": 2}]})
    made = fleet_of(one, record("b"), record("c"))
    made.forget(one.key)
    made.forget(("demo", "unknown"))
    found = made.of(ELSEWHERE, T0)
    assert (found.monitors, found.acting, found.actions) == (2, 0, 2)


def test_a_freeze_is_told_once():
    """However many monitors are held, and however often."""
    made = Freeze()
    assert [made.tell(T0 + later) for later in (0, 1, 700, 1400)] == [True, False, False, False]


@pytest.mark.parametrize(("quiet", "again"), [(599.0, False), (600.0, True)])
def test_a_freeze_is_told_again_only_after_ten_minutes_without_one(quiet, again):
    """Room that lasts for less is the same trouble; more room does not begin the time anew."""
    made = Freeze()
    made.has_room(T0 - 5_000)
    assert made.tell(T0)
    made.has_room(T0 + 100)
    made.has_room(T0 + 300)
    assert made.tell(T0 + 100 + quiet) is again
    assert not made.tell(T0 + 100 + quiet)
    assert not made.tell(T0 + 10_000)


def test_room_is_noted_whenever_the_fleet_is_asked_for():
    """The freeze is over once fewer monitors act than may."""
    crowd = [record(f"m{number}", known={"incident": DONE}) for number in range(5)]
    made = fleet_of(*crowd)
    assert made.of(ELSEWHERE, T0).acting == 5
    assert made.freeze.tell(T0)
    made.of(ELSEWHERE, T0 + 1)
    assert not made.freeze.tell(T0 + 2_000)
    crowd[0].status = status()
    made.update(crowd[0])
    made.of(ELSEWHERE, T0 + 3_000)
    assert made.freeze.tell(T0 + 3_600)


NAMES = [(space, name) for space in ("one", "two") for name in "abcd"]


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(NAMES), st.floats(0.0, 900.0), st.booleans()), max_size=60
    )
)
def test_no_sequence_of_steps_exceeds_the_limits_of_the_fleet(asked):
    """In no hour are there more actions than allowed, and never do more monitors act."""
    crowd = {key: record(key[1], namespace=key[0], uid="/".join(key)) for key in NAMES}
    made = FleetState(3, 5, 0.1, 2)
    made.rebuild(crowd.values())
    now, done, acting = T0, [], set()
    for key, later, ends in asked:
        now += later
        if ends and key in acting:
            acting.discard(key)
            made.update(crowd[key])
        made_view = seen(crowd[key], now, made.of(key, now))
        if hold(made_view, OPEN) is None:
            made.admit(made_view, OPEN)
            done.append((key[0], now))
            acting.add(key)
        hour = [space for space, moment in done if moment > now - 3600]
        assert len(hour) <= 5
        assert max((hour.count(space) for space in ("one", "two")), default=0) <= 3
        assert len(acting) <= 2
