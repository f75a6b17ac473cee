"""The sentence of a diagnosis names what was found, with times and names."""

from dataclasses import replace

import pytest
from tests.core.build import T0
from tests.core.test_diagnosis import OLD, B, target
from tests.core.test_findings import FOUND, changed

from backstop.core.diagnosis import diagnose


@pytest.mark.parametrize(
    ("row", "because"),
    [
        (
            "the configuration",
            (
                "ConfigMap/x changed 20 s before (by kubectl): a rollback of the pod template"
                " would not undo it"
            ),
        ),
        (
            "the configuration after the release",
            (
                "began 5 s after the revision changed; ConfigMap/x changed 2 s before (by kubectl):"
                " a rollback of the pod template would not undo it"
            ),
        ),
        (
            "the configuration before the release",
            (
                "began 5 s after the revision changed; ConfigMap/x changed 7 s before (by kubectl):"
                " the release is to blame"
            ),
        ),
        (
            "both after a change of the configuration",
            (
                "both versions fail, so no release is to blame and no rollback would help;"
                " ConfigMap/x changed 20 s before (by kubectl)"
            ),
        ),
        (
            "both, the candidate long before",
            "the candidate began to fail 5 min earlier: these may be two faults, no rollback helps",
        ),
        (
            "both, the candidate long after",
            "the candidate began to fail 5 min later: these may be two faults, no rollback helps",
        ),
        (
            "both on data that the version before handles",
            (
                "both versions fail on this data and the version before them, which still serves,"
                " handles it: a rollback helps"
            ),
        ),
        (
            "one pod",
            "pod a carries most of it and the others hold the limit: that pod is at fault",
        ),
        (
            "slow and full",
            "the revision is not new and its resources are exhausted: it needs more of them",
        ),
        (
            "slow while it may warm up",
            (
                "began 5 s after the revision changed: it may still be warming up, so slow answers"
                " do not roll it back yet"
            ),
        ),
        (
            "the candidate may share it: too few requests",
            (
                "began 5 s after the revision changed: the release is the first suspect, but the"
                " candidate may fail as well, so nothing is rolled back"
            ),
        ),
        (
            "the candidate is better",
            (
                "the revision is not new, so what it runs on is the first suspect; the candidate is"
                " healthy: ask a person, nothing is promoted by this alone"
            ),
        ),
        (
            "a change against the version before",
            "the version before it, which still serves, does not: it is to blame",
        ),
    ],
)
def test_the_sentence_names_what_was_found(row, because):
    """Names, times and what they mean for a rollback."""
    verdicts, release, _, _ = FOUND[row]
    diagnosis = diagnose(verdicts, release, settle=1.5)
    assert diagnosis is not None
    assert diagnosis.why == f"target fails: errors 50 % (5 of 10), allowed 5%; {because}"


def test_who_changed_the_configuration_is_said_where_it_is_known():
    """Without a field manager the sentence does without."""
    release = replace(OLD, configuration=(changed(T0 - 20, manager=""),))
    diagnosis = diagnose((target(B),), release)
    assert diagnosis is not None
    assert "ConfigMap/x changed 20 s before: a rollback" in diagnosis.why
