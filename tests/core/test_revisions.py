"""Which revision is good, and which one to go back to: never one that was rolled back before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, deployment, verdict, view
from tests.core.world import World

from backstop.api.status import RevisionsStatus
from backstop.api.words import Verdict
from backstop.core.decide import decide
from backstop.core.facts import RevisionFacts
from backstop.core.revisions import (
    MAX_KNOWN_BAD,
    Refusal,
    choose,
    is_proven_good,
    observe,
    record_bad,
    record_good,
    released,
    rolled_back,
)

H, B, U = Verdict.HEALTHY, Verdict.BREACHED, Verdict.UNKNOWN


def known(current: str | None = None, good: str | None = None, bad: tuple[str, ...] = ()):
    """Return what the status tells of revisions."""
    return RevisionsStatus.model_validate(
        {
            "current": current and {"fingerprint": current, "since": T0},
            "last_good": good and {"fingerprint": good, "since": T0},
            "known_bad": list(bad),
        }
    )


def history(*fingerprints: str) -> list[RevisionFacts]:
    """Return the workload's revisions, numbered from 1, newest first as they are read."""
    created = datetime.fromtimestamp(T0, tz=UTC)
    return [RevisionFacts(one, n, created) for n, one in enumerate(fingerprints, 1)][::-1]


# Where a rollback goes

NONE_LEFT = "no earlier revision is left that was not rolled back before; the workload keeps"


@pytest.mark.parametrize(
    ("revisions", "available", "goes_to"),
    [
        (known(), ("v1", "v2", "v3"), "v2"),
        (known(good="v1"), ("v1", "v2", "v3"), "v1"),
        (known(good="v1", bad=("v1",)), ("v1", "v2", "v3"), "v2"),
        (known(bad=("v2",)), ("v1", "v2", "v3"), "v1"),
        (known(good="v9"), ("v1", "v2", "v3"), "v2"),  # gone from the history
        (known(good="v3"), ("v1", "v2", "v3"), "v2"),  # the current one
        # A newer one is not before the current one, unless it was recorded as good.
        (known(), ("v1", "v3", "v2"), "v1"),
        (known(good="v2"), ("v1", "v3", "v2"), "v2"),
        # A current revision that the history does not list is newer than all.
        (known(), ("v1", "v2"), "v2"),
    ],
)
def test_a_rollback_goes_to_the_last_good_or_else_the_previous_one(revisions, available, goes_to):
    """The recorded one first; else the newest before the current that is not known bad."""
    chosen = choose(revisions, history(*available), "v3")
    assert isinstance(chosen, RevisionFacts)
    assert chosen.fingerprint == goes_to


@pytest.mark.parametrize(
    ("revisions", "available", "why"),
    [
        (known(), (), f"{NONE_LEFT} 0 in its history"),
        (known(bad=("v1", "v2")), ("v1", "v2", "v3"), f"{NONE_LEFT} 3 in its history"),
        (known(), ("v3", "v4"), "no revision before the current one is in the workload's history"),
    ],
)
def test_without_a_revision_to_go_back_to_it_is_refused(revisions, available, why):
    """The refusal says what is missing."""
    assert choose(revisions, history(*available), "v3") == Refusal(why)


_names = st.sampled_from([f"v{n}" for n in range(6)])


@given(
    st.permutations([f"v{n}" for n in range(6)]),
    st.integers(0, 6),
    _names,
    st.none() | _names,
    st.lists(_names, unique=True),
)
def test_a_rollback_never_goes_to_a_known_bad_revision(names, kept, current, good, bad):
    """For every history and all that is recorded: not to a bad one, not to the current one."""
    chosen = choose(known(current, good, tuple(bad)), history(*names[:kept]), current)
    if isinstance(chosen, RevisionFacts):
        assert chosen.fingerprint not in {*bad, current}
        assert chosen.fingerprint in names[:kept]


def test_only_the_last_ten_bad_revisions_are_kept():
    """The newest are remembered, each once; rolling back from one again makes it the newest."""
    revisions = known()
    for number in range(12):
        revisions = record_bad(revisions, f"v{number}")
    revisions = record_bad(revisions, "v5")
    assert len(revisions.known_bad) == MAX_KNOWN_BAD
    assert revisions.known_bad[0] == "v2"
    assert revisions.known_bad[-1] == "v5"
    assert len(set(revisions.known_bad)) == MAX_KNOWN_BAD


# Which one is current


def test_a_revision_is_current_since_the_workload_changed():
    """Its beginning is the workload's; one that is known already keeps its beginning."""
    first = observe(known(), deployment("v1", changed=T0 - 60), T0)
    assert first.current is not None
    assert first.current.since.timestamp() == T0 - 60
    assert observe(first, deployment("v1", changed=T0 + 5), T0 + 9) is first
    second = observe(first, deployment("v2", changed=T0 + 5), T0 + 9)
    assert second.current is not None
    assert second.current.since.timestamp() == T0 + 5


@pytest.mark.parametrize("changed", [None, T0 + 60])
def test_a_revision_is_not_younger_than_its_first_sight(changed):
    """Where the workload does not say when, or says a time to come, it begins when it is seen."""
    seen = observe(known(), deployment("v1", changed=changed), T0)
    assert seen.current is not None
    assert seen.current.since.timestamp() == T0


def test_what_was_rolled_back_to_is_no_release():
    """Until somebody releases another one: an older one that returns by itself was not released."""
    back = rolled_back(known("v2"), "v2", "v1")
    assert (back.known_bad, back.restored, released(back)) == (["v2"], "v1", T0)
    seen = observe(back, deployment("v1", changed=T0 + 5), T0 + 9)
    assert (seen.restored, released(seen)) == ("v1", None)
    other = observe(seen, deployment("v3", changed=T0 + 50), T0 + 99)
    assert (other.restored, released(other)) == ("", T0 + 50)
    assert released(known()) is None


def test_faults_that_come_and_go_walk_back_by_one_revision_at_most():
    """After a rollback a fault of what all of them run on is not taken for one of an old release.

    Else each of its returns would take the target one revision further into the past.
    """
    world = World()
    world.look(H)
    world.after(60).release("v2")
    for cause in ("release", "infrastructure", "infrastructure"):
        world.look(B)
        world.rolled_out = True
        for _ in range(80):
            world.after(2).look(H)
        assert world.status.incident is not None
        assert world.status.incident.resolved is not None
        assert (world.current, world.status.incident.cause) == ("v1", cause)
    assert world.status.revisions.known_bad == ["v2"]


def test_a_workload_that_cannot_be_read_changes_nothing():
    """What is known stays known."""
    revisions = known("v1", "v0", ("v2",))
    assert observe(revisions, None, T0) is revisions


# Which one is good


@pytest.mark.parametrize(
    ("revisions", "healthy_since", "good"),
    [
        (known("v2", "v1"), T0 - 300, "v2"),
        (known("v2"), T0 - 300, "v2"),
        (known("v2", "v1"), T0 - 299, "v1"),
        (known("v2", "v1"), None, "v1"),
        (known("v2", "v1", ("v2",)), T0 - 300, "v1"),
        (known(None, "v1"), T0 - 300, "v1"),
    ],
)
def test_a_revision_is_good_after_five_healthy_minutes(revisions, healthy_since, good):
    """Not before, not while nothing is known of it, and never if it was rolled back once."""
    after = record_good(revisions, healthy_since=healthy_since, good_after=300, now=T0)
    assert after.last_good is not None
    assert after.last_good.fingerprint == good


def test_a_good_revision_stays_as_it_was_recorded():
    """Being healthy for longer changes nothing, so nothing is written."""
    revisions = known("v1", "v1")
    assert record_good(revisions, healthy_since=0, good_after=300, now=T0) is revisions


@pytest.mark.parametrize(
    ("current", "good", "proven"),
    [("v1", "v1", True), ("v2", "v1", False), (None, "v1", False), ("v1", None, False)],
)
def test_a_revision_is_proven_good_when_it_is_the_recorded_one(current, good, proven):
    """Only the current revision counts."""
    assert is_proven_good(known(current, good)) is proven


def good(world: World) -> str | None:
    """Return the revision recorded as good."""
    recorded = world.status.revisions.last_good
    return recorded and recorded.fingerprint


def test_health_over_time_makes_a_revision_good():
    """Five minutes of healthy looks, counted anew for each revision."""
    world = World()
    for _ in range(30):
        world.look(H)
        world.after(10)
    assert good(world) is None
    world.look(H)
    assert good(world) == "v1"
    world.release("v2")
    for _ in range(29):
        world.look(H)
        world.after(10)
    assert good(world) == "v1"


@pytest.mark.parametrize("gap", [[U] * 60, [B, B], [U, B]])
def test_what_interrupts_health_is_not_counted(gap: list[Verdict]):
    """Time without a verdict does not count, and a breach starts the count anew."""
    world = World()
    for outcome in (H, *gap, H):
        world.look(outcome)
        world.after(10)
    assert good(world) is None


def test_a_gap_only_delays_what_becomes_good():
    """An outage of the metrics source in between does not take back the health before it."""
    world = World()
    for outcome in [H] * 20 + [U] * 60 + [H] * 11:
        world.look(outcome)
        world.after(10)
    assert good(world) == "v1"


def test_time_in_which_nobody_looked_is_not_healthy():
    """Two looks before and after a suspension of a day say nothing about the day."""
    world = World()
    world.look(H)
    for pause in (86_400, 120):
        world.after(pause).look(H)
        assert good(world) is None
    for _ in range(18):
        world.after(10).look(H)
    assert good(world) == "v1"


def test_a_rollout_under_way_is_not_healthy_yet():
    """While pods of the old revision answer, their health is not the new one's."""
    world = World()
    world.rolled_out = False
    for _ in range(40):
        world.look(H)
        world.after(10)
    assert good(world) is None


def test_a_revision_without_traffic_is_not_healthy():
    """While the fallback answers, a healthy signal says nothing about serving."""
    world = World()
    world.look(B)
    for _ in range(40):
        world.look(U)
        world.after(0.5)
        assert good(world) is None
    assert world.status.circuit.phase == "Open"
    opened = world.memory.healthy_since
    world.look(H)
    assert (opened, world.memory.healthy_since) == (None, None)


def test_a_target_that_cannot_be_read_keeps_its_count():
    """A short failure of the API server does not make a revision unknown."""
    found = decide(view(verdict(outcome=H), target=None, now=T0))
    assert found.memory.healthy_since == T0
    assert found.memory.fingerprint == ""
    first = decide(view(verdict(outcome=H), now=T0))
    later = decide(view(verdict(outcome=H), target=None, now=T0 + 9, memory=first.memory))
    assert (later.memory.healthy_since, later.memory.fingerprint) == (T0, "v1")
