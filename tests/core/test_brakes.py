"""The brakes: what holds which step, in which order, with which words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import CANDIDATE, T0, action, deployment, episode, route, spec, status, view

from backstop.api.modelmonitor import Mode
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import ActionState, StepKind
from backstop.core.brakes import (
    WORKLOAD_STEPS,
    Hold,
    HoldKind,
    actions_in_last_hour,
    cooling,
    counted,
    counts,
    gives_back,
    hold,
)
from backstop.core.fleet import Fleet
from backstop.core.view import Step, View
from backstop.core.weights import Services

S = StepKind
GIVE_BACK = (S.PROBE_CIRCUIT, S.CLOSE_CIRCUIT, S.SHIFT_TRAFFIC)
WORDS = (S.NOTIFY, S.CALL_WEBHOOK, S.WAIT_FOR_APPROVAL)
LIMITED = tuple(kind for kind in S if kind not in {S.PROBE_CIRCUIT, S.CLOSE_CIRCUIT, *WORDS})
# 2023-11-14 22:13:20 UTC, a Tuesday.
WINDOW = {"days": ["Tue"], "opens": "22:00", "closes": "23:00"}
FULL = Fleet(monitors=50, acting=10, namespace_actions=20, actions=60)
OWNED = {
    "target": replace(deployment(), gitops="Argo CD"),
    "route": replace(route({"fraud": 100, "simple": 0}), gitops="Flux"),
}


def step(kind: StepKind = S.ROLLBACK, weight: int = 5) -> Step:
    """Return a step; a shift of traffic gives the candidate 5 % unless said otherwise."""
    return Step(kind, "id", "because", candidate_weight=weight if kind is S.SHIFT_TRAFFIC else 0)


def recent(count: int, ago: float = 0.0) -> list[dict[str, object]]:
    """Return as many actions that ago."""
    return [{"last": T0 - ago, "count": count}]


def held(made: View, kind: StepKind = S.ROLLBACK) -> HoldKind | None:
    """Return which brake holds a step of this kind."""
    found = hold(made, step(kind))
    return found.kind if found else None


ALL_BRAKES = view(
    spec=spec(
        candidate=CANDIDATE,
        maintenance=[WINDOW],
        gitops="Block",
        limits={"actionsPerHour": 1, "coolDown": "1h"},
    ),
    status=status(
        recentActions=recent(1), coolDownFrom=T0 - 1, incident=episode(reverts=9).to_json()
    ),
    fleet=FULL,
    **OWNED,
)


@pytest.mark.parametrize("kind", list(S))
def test_the_kill_switch_holds_everything_but_telling_people(kind):
    """Also what gives traffic back, and calls of other programs."""
    stopped = replace(ALL_BRAKES, fleet=Fleet(stopped="ConfigMap backstop-kill-switch says stop"))
    found = hold(stopped, step(kind))
    if kind is S.NOTIFY:
        assert found is None
    else:
        assert found == Hold(
            HoldKind.KILL_SWITCH,
            "all actions are stopped: ConfigMap backstop-kill-switch says stop",
        )


@pytest.mark.parametrize("kind", [*GIVE_BACK, *WORDS])
def test_nothing_else_holds_what_gives_traffic_back_or_tells(kind):
    """All brakes at once do not."""
    assert hold(ALL_BRAKES, step(kind, weight=0)) is None


@pytest.mark.parametrize("kind", list(S))
def test_nothing_is_held_in_mode_observe(kind):
    """Nothing is done there anyway, and what would be done is to be shown."""
    observing = ALL_BRAKES.spec.model_copy(update={"mode": Mode.OBSERVE})
    made = replace(ALL_BRAKES, spec=observing, fleet=replace(FULL, stopped="stop"))
    assert hold(made, step(kind)) is None


@pytest.mark.parametrize("kind", LIMITED)
def test_maintenance_holds_all_that_is_limited(kind):
    """It is the first of the brakes that people can open."""
    found = hold(ALL_BRAKES, step(kind))
    assert found == Hold(
        HoldKind.MAINTENANCE,
        f"maintenance: Tue 22:00-23:00 UTC; {kind} waits until the window closes, or until its"
        " entry in spec.maintenance is removed",
    )


def test_brakes_hold_in_their_order():
    """Each is seen once those before it are open; at last the step may go ahead."""
    made = ALL_BRAKES
    opened = [
        ("maintenance", lambda v: _with_spec(v, maintenance=[])),
        ("gitops", lambda v: _with_spec(v, gitops="Proceed")),
        ("cool", lambda v: replace(v, status=_changed(v.status, cool_down_from=None))),
        ("rate", lambda v: replace(v, status=_changed(v.status, recent_actions=[]))),
        ("namespace", lambda v: replace(v, fleet=replace(v.fleet, namespace_actions=19))),
        ("cluster", lambda v: replace(v, fleet=replace(v.fleet, actions=59))),
        ("radius", lambda v: replace(v, fleet=replace(v.fleet, acting=9))),
    ]
    seen = [held(made)]
    for _, opening in opened:
        made = opening(made)
        seen.append(held(made))
    assert seen == [
        HoldKind.MAINTENANCE,
        HoldKind.GITOPS,
        HoldKind.COOL_DOWN,
        HoldKind.MONITOR_RATE,
        HoldKind.NAMESPACE_RATE,
        HoldKind.CLUSTER_RATE,
        HoldKind.BLAST_RADIUS,
        None,
    ]


def _with_spec(made: View, **changes: object) -> View:
    whole = {**made.spec.model_dump(by_alias=True, exclude_none=True), **changes}
    return replace(made, spec=type(made.spec).model_validate(whole))


def _changed(known: ModelMonitorStatus, **changes: object) -> ModelMonitorStatus:
    return known.model_copy(update=changes)


TRAFFIC = {S.OPEN_CIRCUIT, S.SHIFT_TRAFFIC}


@pytest.mark.parametrize("kind", LIMITED)
@pytest.mark.parametrize("gitops", ["Block", "TrafficOnly", "Proceed"])
def test_what_gitops_owns_is_changed_only_as_far_as_allowed(kind, gitops):
    """A Job is new, so nobody owns it."""
    free = gitops == "Proceed" or kind is S.RUN_JOB or (kind in TRAFFIC and gitops != "Block")
    made = view(spec=spec(gitops=gitops, candidate=CANDIDATE), **OWNED)
    assert held(made, kind) is (None if free else HoldKind.GITOPS)


@pytest.mark.parametrize("kind", LIMITED)
def test_what_no_tool_owns_or_nobody_knows_is_not_held(kind):
    """A missing object is for the step itself to report."""
    blocked = spec(gitops="Block")
    assert held(view(spec=blocked), kind) is None
    assert held(view(spec=blocked, target=None, route=None), kind) is None


@pytest.mark.parametrize(
    ("kind", "tool", "words"),
    [
        (
            S.OPEN_CIRCUIT,
            "Argo CD",
            (
                "Argo CD owns HTTPRoute/fraud and spec.gitops is Block: make the change in Git; or"
                " set spec.gitops to TrafficOnly and list its weights under ignoreDifferences, with"
                " RespectIgnoreDifferences=true"
            ),
        ),
        (
            S.ROLLBACK,
            "Argo CD",
            (
                "Argo CD owns Deployment/fraud and spec.gitops is Block: make the change in Git; or"
                " set spec.gitops to Proceed and list its template under ignoreDifferences, with"
                " RespectIgnoreDifferences=true"
            ),
        ),
        (
            S.SCALE,
            "Argo CD",
            (
                "Argo CD owns Deployment/fraud and spec.gitops is Block: make the change in Git; or"
                " set spec.gitops to Proceed and list its replicas under ignoreDifferences, with"
                " RespectIgnoreDifferences=true"
            ),
        ),
        (
            S.RESTART,
            "Flux",
            (
                "Flux owns Deployment/fraud and spec.gitops is Block: make the change in Git; or"
                " set spec.gitops to Proceed and annotate the object with"
                " kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"
            ),
        ),
    ],
)
def test_the_tool_and_the_way_out_are_named(kind, tool, words):
    """Each tool leaves a field alone in its own way."""
    made = view(
        spec=spec(gitops="Block"),
        target=replace(deployment(), gitops=tool),
        route=replace(route({"fraud": 100, "simple": 0}), gitops=tool),
    )
    assert hold(made, step(kind)) == Hold(HoldKind.GITOPS, words)


@pytest.mark.parametrize("kind", LIMITED)
@pytest.mark.parametrize(("ago", "cold"), [(-5.0, False), (0.0, False), (59.0, False), (60, True)])
def test_workloads_rest_after_an_incident_that_changed_one(kind, ago, cold):
    """Traffic does not; a clock that was put back counts as no time."""
    made = view(status=status(coolDownFrom=T0 - ago, incident=episode().to_json()))
    rests = kind in WORKLOAD_STEPS and not cold
    assert held(made, kind) is (HoldKind.COOL_DOWN if rests else None)


def test_the_cool_down_is_said_with_its_times():
    """It says when it began, and how long it is."""
    found = hold(view(status=status(coolDownFrom=T0 - 20)), step())
    assert found == Hold(
        HoldKind.COOL_DOWN,
        "cool-down: a workload was changed in an incident that ended 22:13:00 UTC; rollback waits"
        " until 60 s after that (spec.limits.coolDown)",
    )


@pytest.mark.parametrize(
    ("kind", "state", "resolved", "rests"),
    [
        (S.ROLLBACK, ActionState.VERIFIED, T0 - 9, True),
        (S.SCALE, ActionState.APPLIED, T0 - 9, True),
        (S.RESTART, ActionState.FAILED, T0 - 9, True),
        (S.ROLLBACK, ActionState.VERIFIED, None, False),
        (S.OPEN_CIRCUIT, ActionState.VERIFIED, T0 - 9, False),
        (S.ROLLBACK, ActionState.PLANNED, T0 - 9, False),
    ],
)
def test_the_end_of_an_incident_that_changed_a_workload_is_remembered(kind, state, resolved, rests):
    """What was only planned, or only moved traffic, begins no cool-down; nor does what goes on."""
    done = episode(actions=[action(kind, state).to_json()], resolved=resolved)
    known = status(incident=done.to_json())
    noted = cooling(known)
    assert noted.cool_down_from == (done.resolved if rests else None)
    assert held(view(status=known)) is (HoldKind.COOL_DOWN if rests else None)
    assert cooling(noted) == noted


def test_an_incident_without_changes_keeps_the_cool_down_that_is_on():
    """A report that comes in between does not end it."""
    known = status(coolDownFrom=T0 - 9, incident=episode(resolved=T0 - 3).to_json())
    assert cooling(known) == known
    assert cooling(ModelMonitorStatus()) == ModelMonitorStatus()


@pytest.mark.parametrize(
    ("found", "kind", "why"),
    [
        (
            {"status": status(recentActions=recent(20))},
            HoldKind.MONITOR_RATE,
            (
                "this monitor took 20 actions in the last hour, allowed 20: look after it yourself,"
                " or raise spec.limits.actionsPerHour"
            ),
        ),
        (
            {"fleet": Fleet(namespace_actions=21)},
            HoldKind.NAMESPACE_RATE,
            (
                "the monitors of namespace demo took 21 actions in the last hour, allowed 20:"
                " whoever runs Backstop can raise budgets.actionsPerHourPerNamespace"
            ),
        ),
        (
            {"fleet": Fleet(actions=60)},
            HoldKind.CLUSTER_RATE,
            (
                "all monitors together took 60 actions in the last hour, allowed 60: whoever runs"
                " Backstop can raise budgets.actionsPerHour"
            ),
        ),
        (
            {"fleet": Fleet(namespace_actions=18, assumed_namespace_actions=3)},
            HoldKind.NAMESPACE_RATE,
            (
                "the monitors of namespace demo took 18 actions in the last hour, and other shards"
                " perhaps 3 more just now, allowed 20: whoever runs Backstop can raise"
                " budgets.actionsPerHourPerNamespace"
            ),
        ),
        (
            {"fleet": Fleet(actions=59, assumed_actions=1)},
            HoldKind.CLUSTER_RATE,
            (
                "all monitors together took 59 actions in the last hour, and other shards perhaps 1"
                " more just now, allowed 60: whoever runs Backstop can raise budgets.actionsPerHour"
            ),
        ),
        (
            {"fleet": Fleet(monitors=10, acting=2, assumed_acting=3)},
            HoldKind.BLAST_RADIUS,
            (
                "2 of 10 monitors act already, and other shards perhaps 3 more just now, allowed 5:"
                " tried again at the next look"
            ),
        ),
        (
            {"fleet": Fleet(monitors=10, acting=5)},
            HoldKind.BLAST_RADIUS,
            (
                "freeze: 5 of 10 monitors act already, allowed 20 % and at least 5: suspect the"
                " metrics source or the cluster first; whoever runs Backstop can raise"
                " budgets.blastRadius"
            ),
        ),
    ],
)
def test_what_is_too_much_is_said_with_numbers(found, kind, why):
    """And who can change it."""
    assert hold(view(**found), step()) == Hold(kind, why)


@pytest.mark.parametrize(
    ("monitors", "acting", "frozen"),
    [(1, 4, False), (1, 5, True), (100, 19, False), (100, 20, True), (10_000, 1_999, False)],
)
def test_the_blast_radius_is_a_share_of_all_monitors_but_never_tiny(monitors, acting, frozen):
    """A fifth of them, and always five."""
    made = view(fleet=Fleet(monitors=monitors, acting=acting))
    assert held(made) is (HoldKind.BLAST_RADIUS if frozen else None)


def test_a_share_is_not_lost_to_rounding():
    """29 % of 100 are 29, although the product is a bit less."""
    fleet = Fleet(monitors=100, acting=28, blast_radius=0.29)
    assert held(view(fleet=fleet)) is None
    assert held(view(fleet=replace(fleet, acting=29))) is HoldKind.BLAST_RADIUS


@pytest.mark.parametrize(("severity", "page"), [("P0", True), ("P1", True), ("P2", False)])
def test_a_freeze_wakes_somebody_when_an_incident_is_held(severity, page):
    """A candidate's next step, without an incident or beside a report, can wait unnoticed."""
    known = status(incident=episode(severity=severity).to_json())
    found = hold(view(status=known, fleet=_only_acting()), step())
    assert found is not None
    assert found.page is page
    without = hold(view(fleet=_only_acting()), step(S.SHIFT_TRAFFIC))
    assert without is not None
    assert not without.page


def _only_acting() -> Fleet:
    return Fleet(monitors=50, acting=10)


def test_a_sentence_fits_into_a_status():
    """Whatever others have written into it."""
    assert hold(view(fleet=Fleet(stopped="x" * 400)), step()) == Hold(
        HoldKind.KILL_SWITCH, ("all actions are stopped: " + "x" * 400)[:300]
    )


SERVICES = Services("fraud", "next", "simple")


@pytest.mark.parametrize(
    ("kind", "after", "services", "expected"),
    [
        *((kind, "", SERVICES, True) for kind in LIMITED if kind is not S.SHIFT_TRAFFIC),
        *((kind, "", SERVICES, False) for kind in (S.PROBE_CIRCUIT, S.CLOSE_CIRCUIT, *WORDS)),
        (S.SHIFT_TRAFFIC, '{"0": {"fraud": 95, "next": 5}}', SERVICES, True),
        (S.SHIFT_TRAFFIC, '{"0": {"fraud": 100, "next": 0}}', SERVICES, False),
        (S.SHIFT_TRAFFIC, '{"0": {"fraud": 100}}', Services("fraud", None, None), False),
        (S.SHIFT_TRAFFIC, '{"0": {"fraud": 100}}', None, False),
        (S.SHIFT_TRAFFIC, "", SERVICES, False),
    ],
)
def test_only_what_is_limited_counts(kind, after, services, expected):
    """What gives traffic back takes nothing from what may be done."""
    assert counts(action(kind, after=after), services) is expected


def test_actions_close_together_are_counted_together():
    """The status stays small; each counts for an hour, and for ten minutes more at the most."""
    made, known = view(), status()
    start = 1_700_000_400.0  # where ten minutes begin
    for moment in (0.0, 599.0, 600.0, 1300.0):
        known = counted(made, known, action(S.ROLLBACK), start + moment)
    assert [one.count for one in known.recent_actions] == [2, 1, 1]
    assert actions_in_last_hour(known, start + 1300) == 4
    assert actions_in_last_hour(known, start + 599 + 3599) == 4
    assert actions_in_last_hour(known, start + 599 + 3600) == 2
    assert counted(made, known, action(S.NOTIFY), start) is known
    later = counted(made, known, action(S.ROLLBACK), start + 9_000)
    assert [one.count for one in later.recent_actions] == [1]


@given(
    moments=st.lists(st.floats(0.0, 20_000.0), max_size=60).map(sorted),
    kinds=st.lists(st.sampled_from(LIMITED), min_size=60, max_size=60),
    most=st.integers(1, 8),
)
def test_no_sequence_of_steps_exceeds_the_limit_of_a_monitor(moments, kinds, most):
    """In no hour are there more actions than allowed, whatever is asked when."""
    known, done = status(), []
    limits = spec(limits={"actionsPerHour": most}, candidate=CANDIDATE)
    for moment, kind in zip(moments, kinds, strict=False):
        now = T0 + moment
        made = view(spec=limits, status=known, now=now)
        if hold(made, step(kind)) is None:
            done.append(now)
            after = '{"0": {"fraud": 95, "fraud-next": 5}}'
            known = counted(made, known, action(kind, after=after), now)
            assert len(known.to_json()["recentActions"]) <= 7
            status(**known.to_json())
    assert all(sum(now - 3599.9 < one <= now for one in done) <= most for now in done)


FLEETS = st.builds(
    Fleet,
    monitors=st.integers(1, 100),
    acting=st.integers(0, 100),
    namespace_actions=st.integers(0, 100),
    actions=st.integers(0, 100),
    blast_radius=st.floats(0.0, 1.0),
    assumed_acting=st.integers(0, 9),
    assumed_namespace_actions=st.integers(0, 9),
    assumed_actions=st.integers(0, 9),
)


@given(
    fleet=FLEETS,
    done=st.integers(1, 1000),
    cool=st.none() | st.floats(-1e6, 1e6),
    gitops=st.sampled_from(["Block", "TrafficOnly", "Proceed"]),
    kind=st.sampled_from([*GIVE_BACK, S.NOTIFY]),
    mode=st.sampled_from(["Act", "Approve", "Observe"]),
    windows=st.lists(st.just(WINDOW), max_size=2),
)
def test_giving_back_is_never_held_but_by_the_kill_switch(
    fleet, done, cool, gitops, kind, mode, windows
):
    """Whatever else is the case."""
    made = view(
        spec=spec(mode=mode, gitops=gitops, maintenance=windows, candidate=CANDIDATE),
        status=status(recentActions=recent(done), coolDownFrom=None if cool is None else T0 + cool),
        fleet=fleet,
        **OWNED,
    )
    asked = step(kind, weight=0)
    assert gives_back(asked) is (kind is not S.NOTIFY)
    assert hold(made, asked) is None
    stopped = replace(made, fleet=replace(fleet, stopped="stop"))
    is_held = kind is not S.NOTIFY and mode != "Observe"
    assert (hold(stopped, asked) is not None) is is_held


@given(fleet=FLEETS, kind=st.sampled_from(LIMITED))
def test_what_passes_stays_within_the_limits_of_the_fleet(fleet, kind):
    """One more action, and one more monitor that acts, are still allowed."""
    if hold(view(fleet=fleet), step(kind)) is None:
        assert fleet.actions + fleet.assumed_actions + 1 <= fleet.actions_per_hour
        there = fleet.namespace_actions + fleet.assumed_namespace_actions
        assert there + 1 <= fleet.namespace_actions_per_hour
        most = max(fleet.blast_radius_at_least, fleet.blast_radius * fleet.monitors + 1e-9)
        assert fleet.acting + fleet.assumed_acting + 1 <= most


@given(fleet=FLEETS, done=st.integers(1, 1000), windows=st.lists(st.just(WINDOW), max_size=2))
def test_a_probe_that_failed_is_ended_whatever_the_limits_say(fleet, done, windows):
    """Its users are taken away from the fault again, and nothing is counted for it."""
    known = {"recentActions": recent(done)}
    made = view(
        spec=spec(gitops="Block", maintenance=windows),
        status=status(circuit={"phase": "HalfOpen", "since": T0 - 9}, **known),
        fleet=fleet,
        **OWNED,
    )
    again = step(S.OPEN_CIRCUIT)
    assert hold(made, again) is None
    assert counted(made, made.status, action(S.OPEN_CIRCUIT), T0) is made.status
    stopped = hold(replace(made, fleet=replace(fleet, stopped="stop")), again)
    assert stopped is not None
    assert stopped.kind is HoldKind.KILL_SWITCH
