"""Signals that only report: a P2 incident, no change, and no say in whether users suffer."""

from dataclasses import replace

import pytest
from tests.core.build import (
    CANDIDATE,
    ERRORS,
    T0,
    action,
    episode,
    route,
    spec,
    status,
    verdict,
    view,
)

from backstop.api.words import ActionState, Arm, Cause, Severity, StepKind, Verdict
from backstop.core.decide import decide
from backstop.core.diagnosis import ReleaseContext, diagnose
from backstop.core.measurement import Pillar
from backstop.core.verdicts import overall

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN
BOTH = [ERRORS, {**ERRORS, "name": "drift", "onBreach": "Report"}]
NEVER = ReleaseContext(changed=None, proven_good=False, blame_within=1800.0)


def drift(outcome: Verdict = B, *, pillar: Pillar = Pillar.DATA, arm: Arm = Arm.TARGET):
    """Return the verdict of a signal that only reports."""
    found = verdict("drift", outcome, arm=arm, pillar=pillar, why="PSI 0.4, allowed 0.2")
    return found._replace(reports=True)


def reported(**changes):
    """Return an open P2 incident."""
    return episode(severity=Severity.P2, cause=Cause.DATA, why="drift", **changes)


# What is blamed


@pytest.mark.parametrize(
    ("pillar", "cause"),
    [
        (Pillar.DATA, Cause.DATA),
        (Pillar.MODEL, Cause.MODEL),
        (Pillar.BUSINESS, Cause.MODEL),
        (Pillar.SYSTEM, Cause.INFRASTRUCTURE),
    ],
)
def test_what_is_only_reported_is_a_p2_with_its_pillar_as_the_suspect(pillar, cause):
    """Nobody suffers of it, so it is a P2; the sentence says that nothing is done."""
    found = diagnose((verdict(outcome=H), drift(pillar=pillar)), NEVER)
    assert found is not None
    assert (found.severity, found.cause, found.arm) == (Severity.P2, cause, Arm.TARGET)
    assert found.why == (
        "drift on the target: PSI 0.4, allowed 0.2; only reported, as no user suffers of it"
    )
    assert found.evidence == ("drift on target: PSI 0.4, allowed 0.2",)


def test_users_come_before_reports():
    """With an acting signal breached as well, that one is the incident."""
    found = diagnose((drift(), verdict("errors", B)), NEVER)
    assert found is not None
    assert found.severity is Severity.P1
    assert all("drift" not in line for line in found.evidence)


def test_a_report_about_the_candidate_ends_no_trial():
    """A retrained model is expected to differ; that alone takes no traffic away."""
    found = diagnose((verdict(outcome=H), drift(arm=Arm.CANDIDATE)), NEVER)
    assert found is not None
    assert (found.severity, found.arm) == (Severity.P2, Arm.CANDIDATE)


def test_a_holdback_that_is_healthy_proves_the_release_to_be_at_fault():
    """A signal that attributes needs no onset after the release: months later it is to blame."""
    attributing = verdict("change", B)._replace(attributes=True)
    found = diagnose((attributing,), NEVER)
    assert found is not None
    assert found.cause is Cause.RELEASE
    assert "the version before it, which still serves, does not" in found.why


# What is done


def test_a_report_opens_an_incident_and_changes_nothing():
    """An Incident of severity P2, no step, and a sentence that says so."""
    decision = decide(view(verdict(outcome=H), drift()))
    assert decision.step is None
    assert decision.status.incident is not None
    assert decision.status.incident.severity is Severity.P2
    assert decision.status.verdict is H
    assert decision.status.why.startswith("no action, only reported: drift on the target")


def test_an_incident_in_which_users_suffer_takes_the_place_of_a_report():
    """It is mitigated at once, as if nothing had been reported before."""
    known = status(incident=reported())
    decision = decide(view(drift(), verdict("errors", B, onset=T0), status=known))
    assert decision.step is not None
    assert decision.step.kind is StepKind.OPEN_CIRCUIT
    assert decision.status.incident is not None
    assert decision.status.incident.severity is Severity.P1


@pytest.mark.parametrize("severity", [Severity.P0, Severity.P1])
def test_a_report_never_takes_the_place_of_an_incident_in_which_users_suffer(severity):
    """The incident goes on with its own evidence."""
    under_way = episode(
        severity=severity, cause=Cause.INFRASTRUCTURE, detected=T0 - 5, runbook="built-in"
    )
    decision = decide(view(drift(), verdict("errors", U), status=status(incident=under_way)))
    assert decision.status.incident == under_way


def test_a_report_of_a_report_changes_nothing():
    """While it lasts, the incident is the same one."""
    known = status(incident=reported(detected=T0 - 60))
    decision = decide(view(verdict(outcome=H), drift(), status=known, spec=spec(signals=BOTH)))
    assert decision.status.incident == known.incident


@pytest.mark.parametrize(("outcome", "over"), [(H, True), (U, False), (B, False)])
def test_a_report_ends_when_its_own_signals_are_healthy(outcome, over):
    """Unknown ends nothing; whether users suffer is another question."""
    known = status(incident=reported(detected=T0 - 60))
    seen = view(verdict(outcome=H), drift(outcome), status=known, spec=spec(signals=BOTH))
    decision = decide(seen)
    assert decision.status.incident is not None
    assert (decision.status.incident.resolved is not None) is over


def test_drift_keeps_no_circuit_open():
    """An incident ends when the acting signals are healthy, and drift is reported after that."""
    done = action(StepKind.CLOSE_CIRCUIT, ActionState.VERIFIED)
    under_way = episode(cause=Cause.INFRASTRUCTURE, detected=T0 - 60, actions=[done])
    decision = decide(view(verdict(outcome=H), drift(), status=status(incident=under_way)))
    assert decision.status.incident is not None
    assert decision.status.incident.resolved is not None
    later = decide(
        view(verdict(outcome=H), drift(), now=T0 + 1, status=decision.status)
    ).status.incident
    assert later is not None
    assert (later.severity, later.resolved) == (Severity.P2, None)


def test_a_report_does_not_hold_up_a_trial():
    """The candidate gets its share while drift of the target is on report."""
    wanted = spec(candidate={**CANDIDATE, "progression": {"steps": [1]}})
    both = route({"fraud": 100, "fraud-next": 0, "simple": 0})
    first = view(verdict(outcome=H), drift(), spec=wanted, route=both)
    first = replace(first, candidate=first.target)
    known = decide(first).status
    again = decide(replace(first, status=known, now=T0 + 20))
    assert known.incident is not None
    assert again.step is not None
    assert (again.step.kind, again.step.candidate_weight) == (StepKind.SHIFT_TRAFFIC, 1)


# The verdict on the target


@pytest.mark.parametrize(
    ("acting", "report", "told"), [(H, B, H), (H, U, H), (B, H, B), (U, B, U), (None, B, B)]
)
def test_reports_have_a_say_only_where_nothing_else_is_watched(acting, report, told):
    """A target whose users are fine is Healthy, whatever is reported about its data."""
    ours = [] if acting is None else [verdict("errors", acting)]
    assert overall([*ours, drift(report)], Arm.TARGET) is told
