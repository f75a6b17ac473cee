"""Sequential tests are stored now and then, and stand where they stood after a restart."""

from types import MappingProxyType

import numpy as np
from tests.core.rollout import T0, Watch, change, comparison, pod, scraped, spec

from backstop.api.status import ModelMonitorStatus
from backstop.api.words import Arm
from backstop.core import checkpoint
from backstop.core.checkpoint import due, restore
from backstop.core.verdicts import History
from backstop.core.view import Memory


def stored(**fields: object) -> ModelMonitorStatus:
    base = {"evidence_from": T0, "candidate": {"since": T0 + 5}}
    return ModelMonitorStatus.model_validate({**base, **fields})


def remembered(until: float = T0 + 100, state: str = "abc", **more: float) -> Memory:
    histories = {("vs", Arm.CANDIDATE): History(state=state, until=until)}
    for name, at in more.items():
        histories[name, Arm.TARGET] = History(state=state, until=at)
    return Memory(histories=MappingProxyType(histories))


def again(status: ModelMonitorStatus) -> ModelMonitorStatus:
    """Return the status as it comes back from the API server."""
    return ModelMonitorStatus.model_validate(status.to_json())


def test_what_is_stored_is_what_is_restored():
    """State and time of each test, exactly, also between whole seconds."""
    memory = remembered(T0 + 100.5625, since=T0 + 16.875)
    status = stored()
    status = again(status.model_copy(update={"tests": due(status, memory)}))
    restored = restore(status)
    assert restored.histories == memory.histories
    assert restored.evidence_from == {Arm.TARGET: T0, Arm.CANDIDATE: T0 + 5}


def test_a_checkpoint_stands_until_it_is_too_old():
    """The status is not written at every look."""
    status = stored()
    status = status.model_copy(update={"tests": due(status, remembered())})
    soon, late = remembered(T0 + 100 + 89, "new"), remembered(T0 + 100 + 90, "new")
    assert due(status, soon) is status.tests
    assert [test.state for test in due(status, late)] == ["new"]


def test_evidence_that_begins_anew_is_stored_anew():
    """After an action, and for a new trial; what was stored before is not restored."""
    status = stored()
    status = status.model_copy(update={"tests": due(status, remembered())})
    moved = stored(candidate={"since": T0 + 50}, tests=status.tests)
    assert restore(moved).histories == {}
    (test,) = due(moved, remembered())
    assert test.since is not None
    assert test.since.timestamp() == T0 + 50
    assert due(moved, remembered(T0 + 40)) == []


def test_tests_that_count_nothing_are_not_stored():
    """Signals of other kinds, and tests that have not begun."""
    assert due(stored(), remembered(0.0)) == []
    assert due(stored(), Memory()) == []
    begun_long_ago = ModelMonitorStatus()
    memory = Memory(histories={("s", Arm.TARGET): History(state="a", until=T0)})
    (test,) = due(begun_long_ago, memory)
    assert test.since is None
    kept = begun_long_ago.model_copy(update={"tests": [test]})
    assert restore(again(kept)).histories == memory.histories


def test_more_tests_than_fit_do_not_write_the_status_at_every_look():
    """The first ones are stored, and stand until they are too old."""
    names = {f"s{number}": T0 + 100 for number in range(checkpoint.MOST + 3)}
    memory = remembered(**names)
    status = stored()
    tests = due(status, memory)
    assert len(tests) == checkpoint.MOST
    status = again(status.model_copy(update={"tests": tests}))
    assert due(status, memory) is status.tests


def test_two_kinds_of_tests_are_restored_together():
    """A comparison and a change of one monitor go on as if nothing had happened."""
    random = np.random.default_rng(1)
    pods = [pod(app, app, scraped(T0 - 400, T0 + 500, phase=3), random) for app in ("old", "new")]
    held = change(holdbackLabels={"app": "new"})
    plain, interrupted = (Watch(spec(comparison(), held), pods, changed=T0 - 50) for _ in range(2))
    status = ModelMonitorStatus()
    for number, now in enumerate(np.arange(T0, T0 + 300, 7.0)):
        plain.look(now)
        if number % 13 == 12:
            interrupted.memory = restore(status)
        interrupted.look(now)
        status = interrupted.status(status)
    states = [[one.state for one in each.histories.values()] for each in (plain, interrupted)]
    assert states[0] == states[1]
    assert all(states[0])
