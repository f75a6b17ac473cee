"""The runbook: in order, each step once, recovery waited for, nothing taken that cannot help."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.build import (
    CANDIDATE,
    T0,
    action,
    carried_out,
    deployment,
    episode,
    route,
    spec,
    status,
    verdict,
    view,
)
from tests.core.world import World, world

from backstop.api.runbook import RunbookSpec
from backstop.api.words import (
    ActionState,
    Arm,
    Cause,
    Finding,
    Progress,
    Severity,
    StepKind,
    Verdict,
)
from backstop.core import journal, runbook
from backstop.core.built_in import BUILT_IN
from backstop.core.changes import release_context
from backstop.core.decide import decide
from backstop.core.diagnosis import diagnose
from backstop.core.facts import JobFacts, JobState, ObjectRef
from backstop.core.fleet import Fleet

APPLIED = ActionState.APPLIED
H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
OPEN, PROBE, CLOSE, ROLLBACK, SCALE, RESTART, JOB, TELL, CALL = (
    StepKind.OPEN_CIRCUIT,
    StepKind.PROBE_CIRCUIT,
    StepKind.CLOSE_CIRCUIT,
    StepKind.ROLLBACK,
    StepKind.SCALE,
    StepKind.RESTART,
    StepKind.RUN_JOB,
    StepKind.NOTIFY,
    StepKind.CALL_WEBHOOK,
)
BACK = {"name": "back", "rollback": {}, "verify": {"within": "1m"}}
ASIDE = {"name": "aside", "openCircuit": {}}
MORE = {"name": "more", "scale": {"by": "50%"}, "verify": {"within": "1m"}}
FRESH = {"name": "fresh", "restart": {}, "verify": {"within": "1m"}}
WORD = {"name": "word", "notify": {"text": "look"}}


def at_fault(cause: str, *steps: dict[str, Any], **changes: Any) -> World:
    """Return a world whose monitor has these steps for one cause, healthy so far."""
    made = world(runbook={cause: list(steps)}, **changes)
    made.look(H)
    made.after(1)
    return made


def progress(made: World) -> dict[str, Progress]:
    """Return how far each step has come."""
    assert made.status.incident is not None
    return {one.name: one.state for one in made.status.incident.steps}


# Order


def test_the_steps_are_those_of_the_monitor_and_in_its_order():
    """What the spec says replaces the built-in steps of that cause, and only of that cause."""
    made = at_fault("infrastructure", MORE, WORD)
    assert made.look(B) == [SCALE]
    assert [one.step for one in made.told] == [TELL]
    assert made.status.incident is not None
    assert made.status.incident.runbook == "inline"
    assert runbook.steps_of(view(runbook=made.spec.runbook), episode(cause="data")) == (
        BUILT_IN.steps(Cause.DATA)
    )


def test_a_mitigation_goes_before_the_notifications_in_front_of_it():
    """Nobody is told before the traffic has moved."""
    made = at_fault("infrastructure", WORD, {**WORD, "name": "again"}, ASIDE)
    assert made.look(B) == [OPEN]
    assert made.status.incident is not None
    assert [one.step for one in made.status.incident.actions] == [OPEN, TELL, TELL]


def test_a_message_waits_for_what_is_wanted_in_front_of_it():
    """What is not wanted anyway holds nobody's word back."""
    made = at_fault("infrastructure", MORE, {**FRESH, "when": {"any": ["OnePod"]}}, WORD)
    assert made.look(B) == [SCALE]
    assert [one.name for one in made.told] == ["word"]
    made = at_fault("infrastructure", MORE, FRESH, WORD)
    assert made.look(B) == [SCALE]
    assert made.told == []


def test_a_repair_is_waited_for_before_the_next_one():
    """In effect, then in what recovers; messages behind it do not wait."""
    made = at_fault("infrastructure", FRESH, WORD, MORE)
    made.rolled_out = False
    assert made.look(B) == [RESTART]
    assert progress(made) == {"fresh": Progress.RUNNING, "word": Progress.DONE}
    made.rolled_out = True
    assert made.after(30).look(B) == []
    assert made.after(59).look(B) == []
    assert progress(made) == {"fresh": Progress.RUNNING, "word": Progress.DONE}
    assert made.after(2).look(B) == [SCALE]
    assert progress(made)["fresh"] is Progress.NOT_HELPED


def test_a_repair_that_helped_ends_the_incident():
    """The steps behind it are not needed."""
    made = at_fault("infrastructure", MORE, FRESH, fallback=None)
    assert made.look(B) == [SCALE]
    assert made.after(1).look(B) == []
    assert made.after(1).look(H) == []
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None
    assert progress(made)["more"] is Progress.HELPED
    assert made.pods == 4


def test_unknown_neither_helps_nor_escalates():
    """Without a number nothing is known of the repair, however long it takes."""
    made = at_fault("infrastructure", MORE, FRESH, fallback=None)
    made.look(B)
    for _ in range(20):
        assert made.after(60).look(U) == []
    assert progress(made)["more"] is Progress.RUNNING
    assert made.after(1).look(B) == [RESTART]


def test_a_repair_in_vain_escalates_and_is_urgent():
    """A rollback that does not help: the circuit opens, and somebody is woken."""
    made = at_fault("release", BACK, ASIDE, {**WORD, "name": "page"})
    made.release("v2")
    assert made.look(B) == [ROLLBACK]
    assert made.told == []
    made.rolled_out = True
    assert made.after(5).look(B) == []
    assert made.after(61).look(B) == [OPEN]
    assert made.rules == [{"fraud": 0, "simple": 100}]
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P0
    assert [one.name for one in made.told] == ["page"]


def test_where_nothing_can_be_done_somebody_is_woken():
    """No fallback, no release to blame, no pod at fault: users suffer, and a person has to act."""
    made = world(fallback=None, rules=[{"fraud": 100}])
    made.look(H)
    made.after(1).look(B)
    assert made.steps == []
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P0


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ([WORD], {}),
        ([BACK], {"mode": "Observe"}),
        ([ASIDE], {}),
        ([MORE, BACK], {}),
        ([{"name": "ask", "waitForApproval": {}}, MORE], {}),
    ],
)
def test_while_something_is_done_or_waited_for_nobody_is_woken(steps, changes):
    """Nor where a runbook means to tell people only."""
    made = at_fault("infrastructure", *steps, **changes)
    made.look(B)
    made.after(1).look(U)
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P1


def test_a_fix_that_somebody_releases_gets_its_time():
    """Nobody is woken while it may still help, and somebody is when it does not."""
    made = world(fallback=None, rules=[{"fraud": 100}])
    made.look(H)
    made.after(1).release("v2")
    made.fleet = Fleet(stopped="somebody works on it")
    made.look(B)
    made.fleet = Fleet()
    made.after(1).release("v3")
    made.after(1).look(B)
    assert made.steps == []
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P1
    made.after(runbook.TIME_TO_MEND).look(B)
    assert made.status.incident.severity is Severity.P0


def test_a_fallback_that_has_all_traffic_already_is_not_given_it():
    """Closing would put back what was before: for ever nobody but the fallback would answer."""
    made = world(rules=[{"fraud": 0, "simple": 100}])
    made.look(H)
    made.after(1).look(B)
    assert made.steps == []
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P1
    made.rules = [{"fraud": 100, "simple": 0}]
    made.after(1).look(H)
    assert made.status.incident.resolved is not None


def test_a_message_that_fails_wakes_nobody():
    """Users are with the fallback and the target is repaired; a receiver that is down can wait."""
    hook = {"name": "hook", "callWebhook": {"url": "https://hooks.example.com/x"}}
    made = at_fault("release", ASIDE, BACK, hook)
    made.release("v2")
    made.refused = frozenset({StepKind.CALL_WEBHOOK})
    made.look(B)
    for _ in range(30):
        made.after(1).look(U)
    assert made.status.incident is not None
    (told,) = [one for one in made.status.incident.steps if one.name == "hook"]
    assert told.state is Progress.FAILED
    assert made.status.incident.severity is Severity.P1


def test_a_runbook_may_be_exchanged_in_the_incident_again_and_again():
    """No more steps are told than a status holds, and those of the runbook of now are."""
    made = at_fault("infrastructure", WORD)
    made.look(B)
    for edit in range(4):
        steps = [{**WORD, "name": f"word-{edit}-{number}"} for number in range(8)]
        made.spec = world(runbook={"infrastructure": steps}).spec
        for _ in range(3):
            made.after(1).look(B)
        assert made.status.incident is not None
        names = {one.name for one in made.status.incident.steps}
        assert names >= {one["name"] for one in steps}
        assert len(names) <= 12


def test_an_action_of_a_runbook_that_is_gone_finds_no_room_and_needs_none():
    """It was planned, the runbook was exchanged, the operator restarted: it is finished."""
    steps = [
        {"name": f"s{number}", "step": "notify", "state": "Done", "since": T0}
        for number in range(12)
    ]
    planned = action(SCALE, name="gone", before="2", after="3")
    told = episode(cause="infrastructure", steps=steps)
    seen = view(status=status(incident=told, action=planned.to_json()))
    done = journal.applied(seen, planned, T0).incident
    assert done is not None
    assert [one.name for one in done.actions] == ["gone"]
    assert len(done.steps) == 12


def test_a_step_can_be_the_last_word():
    """With onFailure Stop, nothing follows a step that was in vain."""
    made = at_fault("infrastructure", {**MORE, "onFailure": "Stop"}, ASIDE, WORD)
    made.look(B)
    made.after(1).look(B)
    assert made.after(61).look(B) == []
    assert progress(made) == {"more": Progress.NOT_HELPED}
    assert made.after(600).look(B) == []


def test_a_probe_that_fails_after_a_repair_says_that_it_was_in_vain():
    """With the circuit open, the probe is what tells."""
    made = at_fault("infrastructure", ASIDE, FRESH, MORE)
    assert made.look(B) == [OPEN, RESTART, PROBE]
    assert made.after(1).look(B) == [OPEN, SCALE, PROBE]
    assert progress(made)["fresh"] is Progress.NOT_HELPED


def test_the_circuit_closes_before_a_repair_is_said_to_have_helped():
    """Under a probe only a share of the traffic is seen."""
    made = at_fault("infrastructure", ASIDE, FRESH)
    assert made.look(B) == [OPEN, RESTART, PROBE]
    assert made.after(5).look(H) == []
    assert progress(made)["fresh"] is Progress.RUNNING
    assert made.after(6).look(H) == [CLOSE]
    made.after(1).look(H)
    assert progress(made)["fresh"] is Progress.HELPED


def test_named_signals_decide_about_recovery():
    """Others may still be breached."""
    steps = {**MORE, "verify": {"signals": ["slow"], "within": "1m"}}
    made = at_fault("infrastructure", steps, FRESH, fallback=None)
    both = {("slow", Arm.TARGET): B, ("errors", Arm.TARGET): B}
    assert made.sees(both) == [SCALE]
    made.after(1).sees(both)
    made.after(1).sees({**both, ("slow", Arm.TARGET): H})
    assert progress(made)["more"] is Progress.HELPED
    assert made.after(1).sees(both) == []
    assert progress(made)["fresh"] is Progress.SKIPPED


# What is left out


@pytest.mark.parametrize(
    ("when", "findings", "why"),
    [
        ({"any": ["OnePod", "Slow"]}, ["Saturated"], "not found: OnePod or Slow"),
        ({"none": ["BothFail"]}, ["BothFail"], "found: BothFail"),
        ({"signals": ["slow"]}, [], "not breached: slow"),
        ({"any": ["Slow"], "none": ["BothFail"], "signals": ["errors"]}, ["Slow"], ""),
        ({}, [], ""),
    ],
)
def test_a_step_whose_condition_does_not_hold_is_skipped(when, findings, why):
    """With the reason, and the next one is taken."""
    steps = RunbookSpec.model_validate({"model": [{**FRESH, "when": when}, WORD]})
    told = episode(cause="model", findings=findings, evidence=["errors on target: 50 %"])
    seen = view(verdict(outcome=B), runbook=steps, status=status(incident=told))
    found = runbook.settle(seen, told, _blamed(seen))
    assert [one.why for one in found.steps] == ([why] if why else [])


def _blamed(seen):
    return diagnose(seen.look.verdicts, release_context(seen))


@pytest.mark.parametrize(
    ("step", "changes", "why"),
    [
        ({"openCircuit": {}}, {"spec": spec(fallback=None)}, "the monitor names no fallback"),
        (
            {"openCircuit": {}},
            {"status": {"circuit": {"phase": "Open"}}},
            "the circuit is open already",
        ),
        (
            {"openCircuit": {}},
            {"route": route({"fraud": 0, "fraud-next": 0, "simple": 100, "foreign": 9})},
            "the fallback has all traffic already",
        ),
        ({"rollback": {}}, {}, "nothing shows that an earlier revision would be better"),
        (
            {"rollback": {}},
            {"spec": spec(rollback={"enabled": False})},
            "spec.rollback.enabled is false",
        ),
        ({"restart": {"pods": "Bad"}}, {}, "no single pod carries most of the fault"),
        (
            {"rollback": {}},
            {"findings": ["RollbackHelps"]},
            "the target's revision is not known",
        ),
        (
            {"rollback": {}},
            {
                "findings": ["RollbackHelps"],
                "status": {"revisions": {"current": {"fingerprint": "v3", "since": T0 + 9}}},
            },
            "the target has been changed since",
        ),
        (
            {"rollback": {}},
            {
                "findings": ["RollbackHelps"],
                "status": {"revisions": {"current": {"fingerprint": "v2", "since": T0 - 9}}},
            },
            "",
        ),
        ({"pauseRollout": {}}, {}, "no rollout is under way"),
        ({"pauseRollout": {}}, {"target": None}, "the target's revision is not known"),
        ({"pauseRollout": {}}, {"target": deployment(rolled_out=False)}, ""),
        (
            {"shiftTraffic": {"candidateWeight": 50}},
            {"spec": spec(candidate=CANDIDATE)},
            "the candidate is not known to be healthy",
        ),
        ({"shiftTraffic": {}}, {"spec": spec(candidate=CANDIDATE)}, ""),
        ({"shiftTraffic": {}}, {}, "the monitor names no candidate"),
    ],
)
def test_what_cannot_be_right_is_skipped(step, changes, why):
    """Each kind of step knows what it needs."""
    steps = RunbookSpec.model_validate({"model": [{"name": "it", **step}]})
    changes = dict(changes)
    told = episode(cause="model", findings=changes.pop("findings", []))
    known = {"status": status(incident=told), **changes}
    if isinstance(known["status"], dict):
        known["status"] = status(incident=told, **known["status"])
    seen = view(verdict(outcome=B), runbook=steps, **known)
    found = runbook.settle(seen, told, _blamed(seen))
    skipped = [(Progress.SKIPPED, why)] if why else []
    assert [(one.state, one.why) for one in found.steps] == skipped


@pytest.mark.parametrize(
    ("pod", "skipped"), [("fraud-7d-x2", []), ("10.0.0.7:8080", [Progress.SKIPPED])]
)
def test_only_a_pod_that_has_a_name_is_restarted(pod, skipped):
    """An address of a scrape target is no pod that could be deleted."""
    steps = RunbookSpec.model_validate({"model": [{"name": "it", "restart": {"pods": "Bad"}}]})
    told = episode(cause="model", pod=pod)
    seen = view(verdict(outcome=B), runbook=steps, status=status(incident=told))
    found = runbook.settle(seen, told, _blamed(seen))
    assert [one.state for one in found.steps] == skipped


def test_a_rollback_needs_evidence_even_where_a_runbook_asks_for_it():
    """Both versions fail: no runbook makes Backstop roll back."""
    candidate = {"name": "next", "service": "next", "metricLabels": {"app": "next"}}
    made = at_fault("infrastructure", BACK, ASIDE, candidate=candidate)
    made.rules = [{"fraud": 90, "next": 10, "simple": 0}]
    made.candidate = deployment("c1")
    made.look(H, H)
    made.after(1).release("v2")
    assert made.look(B, B) == [OPEN]
    assert progress(made) == {"back": Progress.SKIPPED, "aside": Progress.DONE}


def test_at_most_one_rollback_in_an_incident():
    """However many a runbook lists."""
    made = at_fault("release", BACK, {**BACK, "name": "further"}, fallback=None)
    made.release("v2")
    assert made.look(B) == [ROLLBACK]
    made.rolled_out = True
    made.after(1).look(B)
    assert made.after(61).look(B) == []
    assert progress(made)["further"] is Progress.SKIPPED


def test_a_runbook_may_take_the_traffic_of_a_candidate_in_an_incident_of_the_target():
    """The target then has all of it."""
    made = at_fault("infrastructure", {"name": "off", "shiftTraffic": {}}, candidate=CANDIDATE)
    made.rules = [{"fraud": 90, "fraud-next": 10, "simple": 0}]
    made.candidate = deployment("c1")
    made.look(H, H)
    assert made.after(1).look(B, H) == [StepKind.SHIFT_TRAFFIC]
    assert made.rules == [{"fraud": 100, "fraud-next": 0, "simple": 0}]


@pytest.mark.parametrize(
    ("done", "target", "state"),
    [
        (action(SCALE, ActionState.APPLIED, after="4"), deployment(), ActionState.APPLIED),
        (
            action(SCALE, ActionState.APPLIED, after="2"),
            deployment(),
            ActionState.VERIFIED,
        ),
        (action(RESTART, ActionState.APPLIED, after="Pod/x"), deployment(), ActionState.VERIFIED),
        (
            action(RESTART, ActionState.APPLIED, after="Pod/x", applied_at=T0 + 6),
            deployment(),
            ActionState.APPLIED,
        ),
        (
            action(RESTART, ActionState.APPLIED, after="Pod/x", applied_at=None),
            deployment(),
            ActionState.APPLIED,
        ),
        (action(StepKind.PAUSE_ROLLOUT, ActionState.APPLIED), deployment(), ActionState.APPLIED),
        (
            action(StepKind.PAUSE_ROLLOUT, ActionState.APPLIED),
            replace(deployment(), paused=True),
            ActionState.VERIFIED,
        ),
        (
            action(StepKind.WAIT_FOR_APPROVAL, ActionState.APPLIED),
            deployment(),
            ActionState.APPLIED,
        ),
    ],
)
def test_each_repair_is_in_effect_when_the_workload_shows_it(done, target, state):
    """As many pods ready, all replaced, the one pod gone for a while, the rollout paused."""
    told = episode(cause="model", actions=[done], steps=carried_out(Cause.MODEL))
    seen = view(verdict(outcome=B), now=T0 + 10, status=status(incident=told), target=target)
    found = decide(seen).status.incident
    assert found is not None
    assert found.actions[0].state is state


# Failures


def test_a_step_that_failed_is_tried_again_and_then_the_next_one_is_taken():
    """Five times; a mitigation behind it does not wait for that."""
    made = at_fault("infrastructure", FRESH, ASIDE, MORE)
    made.refused = frozenset({RESTART})
    assert made.look(B) == [RESTART, OPEN]
    tried = 0
    for _ in range(200):
        made.after(1)
        tried += made.look(U).count(RESTART)
    assert tried == 4
    assert progress(made)["fresh"] is Progress.FAILED
    assert progress(made)["more"] is not None


def test_a_step_that_takes_too_long_has_failed():
    """Its own timeout counts, not the general one."""
    made = at_fault("infrastructure", {**FRESH, "timeout": "30s"}, MORE, fallback=None)
    made.rolled_out = False
    made.look(B)
    made.after(29).look(B)
    assert made.action(RESTART).state is ActionState.APPLIED
    made.after(2).look(B)
    assert made.action(RESTART).state is ActionState.FAILED
    assert made.action(RESTART).message == "not in effect after 30 s"


def test_a_failed_message_is_no_emergency():
    """Nothing in the cluster depends on it."""
    made = at_fault(
        "infrastructure", {"name": "call", "callWebhook": {"url": "https://hooks.example.com/x"}}
    )
    made.refused = frozenset({CALL})
    made.look(B)
    assert made.status.incident is not None
    assert made.status.incident.severity is Severity.P1


# Jobs


@pytest.mark.parametrize(
    ("state", "message", "then"),
    [
        (JobState.COMPLETE, "", ActionState.VERIFIED),
        (JobState.FAILED, "backoff limit", ActionState.FAILED),
        (JobState.RUNNING, "", ActionState.APPLIED),
    ],
)
def test_a_job_is_in_effect_once_it_is_complete(state, message, then):
    """One that failed has failed for good, with its controller's words."""
    made = at_fault(
        "infrastructure", {"name": "job", "runJob": {"cronJob": "train"}, "timeout": "1h"}
    )
    assert made.look(B) == [JOB]
    started = made.action(JOB)
    made.jobs[started.id] = JobFacts(ObjectRef("Job", "demo", "x"), started.id, state, message)
    made.after(1).look(B)
    assert made.action(JOB).state is then
    if then is ActionState.FAILED:
        assert made.action(JOB).message == "Job/x failed: backoff limit"


def test_a_job_does_not_keep_an_incident_open():
    """Training may take hours; the model may be healthy long before."""
    made = at_fault(
        "infrastructure", {"name": "job", "runJob": {"cronJob": "train"}}, fallback=None
    )
    made.look(B)
    made.after(1).look(H)
    assert made.status.incident is not None
    assert made.status.incident.resolved is not None


# Observe


def test_in_observe_each_step_is_recorded_once_and_only_when_its_turn_comes():
    """What would be done next is not what would be done if that did not help."""
    made = at_fault("infrastructure", MORE, FRESH, WORD, mode="Observe", fallback=None)
    assert made.look(B) == [SCALE]
    assert made.after(30).look(B) == []
    assert made.after(31).look(B) == [RESTART]
    assert made.pods == 2
    assert {one.state for one in made.status.incident.actions} == {ActionState.OBSERVED}


# Timers


def test_the_end_of_the_wait_for_recovery_is_a_timer():
    """So that nobody escalates late for want of a new sample."""
    made = at_fault("infrastructure", MORE, fallback=None)
    made.look(B)
    made.after(1).look(B)
    assert made.decision is not None
    assert made.decision.due == T0 + 1 + 60


def test_without_a_running_step_there_is_no_timer():
    """A step whose action is forgotten is over."""
    told = episode(cause="infrastructure", steps=carried_out(Cause.INFRASTRUCTURE))
    assert runbook.due(view(), told) is None
    lost = episode(
        cause="infrastructure",
        steps=[{"name": "restart", "step": "restart", "state": "Running", "since": T0}],
    )
    assert runbook.due(view(), lost) is None
    after = runbook.advance(view(), lost)
    assert [one.state for one in after.steps] == [Progress.FAILED]


# Ids


def test_an_action_of_a_runbook_keeps_its_id_until_it_failed():
    """So that a restart finishes the very same action."""
    seen = view(verdict(outcome=B), status=status(incident=episode(cause="model")))
    first, again = decide(seen).step, decide(seen).step
    assert first is not None
    assert again is not None
    assert first.action_id == again.action_id
    assert first.of is not None
    tried = action(
        OPEN, ActionState.FAILED, id=first.action_id, name=first.of.name, applied_at=None
    )
    later = view(
        verdict(outcome=B),
        now=T0 + 5,
        status=status(
            incident=episode(
                cause="model",
                actions=[tried],
                steps=[
                    {"name": first.of.name, "step": OPEN, "state": "Running", "since": T0},
                ],
            )
        ),
    )
    second = decide(later).step
    assert second is not None
    assert second.kind is OPEN
    assert second.action_id != first.action_id


def test_the_built_in_runbook_has_steps_for_every_cause():
    """Mitigation first, and a word to people."""
    for cause in Cause:
        kinds = [one.kind for one in BUILT_IN.steps(cause) or ()]
        assert kinds[0] is OPEN
        assert TELL in kinds
    assert set(Finding) >= {
        one for cause in Cause for step in BUILT_IN.steps(cause) or () for one in step.when.any
    }
