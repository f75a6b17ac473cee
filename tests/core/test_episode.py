"""An incident from its beginning to its end: what is told of it, and how much is kept."""

import pytest
from tests.core.build import T0, action, episode, verdict

from backstop.api.words import ActionState, StepKind, Verdict
from backstop.core import episode as episodes
from backstop.core.diagnosis import ReleaseContext, diagnose

B = Verdict.BREACHED
OPEN, PROBE = StepKind.OPEN_CIRCUIT, StepKind.PROBE_CIRCUIT
PLANNED, APPLIED = ActionState.PLANNED, ActionState.APPLIED


def test_an_incident_begins_with_what_is_known():
    """Named by monitor and time, with the sentence and the evidence cut to what can be stored."""
    blame = diagnose(
        tuple(verdict(f"s{n}", B, onset=T0 + 5, why="y" * 2000) for n in range(20)),
        ReleaseContext(None, proven_good=False, blame_within=0),
    )
    assert blame is not None
    begun = episodes.begin("m" * 229 + ".xyz", blame, T0)
    assert begun.name == "m" * 229 + "-20231114-221320"
    assert begun.onset.timestamp() == begun.detected.timestamp() == T0
    assert (len(begun.why), len(begun.evidence)) == (1024, 12)
    assert {len(line) for line in begun.evidence} == {300}


def test_two_incidents_of_the_same_second_have_two_names():
    """The second is told beside the first, and its actions have ids of their own."""
    blame = diagnose((verdict(outcome=B),), ReleaseContext(None, proven_good=False, blame_within=0))
    assert blame is not None
    first = episodes.begin("fraud", blame, T0)
    second = episodes.begin("fraud", blame, T0 + 0.4, first)
    third = episodes.begin("fraud", blame, T0 + 1, second)
    names = [one.name for one in (first, second, third)]
    assert names == ["fraud-20231114-221320", "fraud-20231114-221320-2", "fraud-20231114-221321"]


def test_an_incident_keeps_the_first_and_the_newest_actions():
    """However long it flaps: the first three and the newest, ten in all."""
    told = episode()
    for number in range(40):
        told = episodes.with_action(told, action(OPEN, APPLIED, id=str(number)))
    assert [one.id for one in told.actions] == ["0", "1", "2", *map(str, range(33, 40))]


def test_an_action_is_replaced_in_its_place():
    """The same id is the same action, further on."""
    told = episode(actions=[action(OPEN, id="a"), action(PROBE, id="b")])
    told = episodes.with_action(told, action(OPEN, APPLIED, id="a"))
    assert [(one.id, one.state) for one in told.actions] == [("a", APPLIED), ("b", PLANNED)]


@pytest.mark.parametrize(
    ("uid", "scope", "kind", "number"),
    [("v", "s", OPEN, 0), ("u", "t", OPEN, 0), ("u", "s", PROBE, 0), ("u", "s", OPEN, 1)],
)
def test_an_action_id_follows_from_what_is_done(uid, scope, kind, number):
    """The same decision has the same id, any other decision another."""
    known = episodes.action_id("u", "s", OPEN, 0)
    assert known == episodes.action_id("u", "s", OPEN, 0)
    assert len(known) == 16
    assert episodes.action_id(uid, scope, kind, number) != known


def test_a_candidates_incident_is_repaired_when_it_is_over():
    """Its fault went with its traffic; a target's repair is the rollback's time, or none."""
    candidate = episodes.resolve(episode(arm="candidate"), T0 + 9)
    target = episodes.resolve(episode(), T0 + 9)
    earlier = episodes.resolve(episode(arm="candidate", repaired=T0 + 1), T0 + 9)
    assert candidate.repaired == candidate.resolved is not None
    assert (target.repaired, target.resolved) == (None, candidate.resolved)
    assert earlier.repaired is not None
    assert earlier.repaired.timestamp() == T0 + 1
