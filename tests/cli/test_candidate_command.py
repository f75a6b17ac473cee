"""`backstop candidate` asks for what a person wants, and shows the phase before and after."""

from typing import Any

import pytest
from tests.cli.conftest import SPEC, Cluster
from tests.fakeapi.faults import Fault

from backstop.core.requests import CANDIDATE

TRIAL = {"phase": "Trial", "weight": 5, "step": 1, "why": "at 5 %: waits"}


def obeys(body: dict[str, Any]) -> dict[str, Any]:
    """Do as the operator does, each answer at once."""
    trial = dict(body["status"]["candidate"])
    wish = (body["metadata"].get("annotations") or {}).get(CANDIDATE, "")
    if trial.get("answered") != wish:
        trial["answered"] = ""
    if wish == "pause":
        trial |= {"phase": "Paused", "why": "at 5 %: paused by a person"}
    elif trial["phase"] == "Paused":
        trial |= {"phase": "Trial", "why": "at 5 %: waits"}
    if wish == "abort" and trial["answered"] == "":
        trial |= {"phase": "Aborted", "weight": 0, "why": "asked for", "answered": "abort"}
    if wish == "promote" and trial["answered"] == "":
        trial |= {"weight": 25, "why": "at 25 %: its last step", "answered": "promote"}
    return {"candidate": trial}


def on_trial(cluster: Cluster, *, annotation: str = "", **changes: Any) -> Cluster:
    """Return the cluster with a monitor whose candidate is on trial, and an operator."""
    annotations = {"annotations": {CANDIDATE: annotation}} if annotation else {}
    cluster.monitor(
        metadata={"name": "fraud", **annotations}, status={"candidate": TRIAL | changes}
    )
    cluster.operator = obeys
    return cluster


@pytest.mark.parametrize(
    ("wish", "after", "written"),
    [
        ("pause", "Paused at 5 % (at 5 %: paused by a person)", {CANDIDATE: "pause"}),
        ("promote", "Trial at 25 % (at 25 %: its last step)", {CANDIDATE: "promote"}),
        ("abort", "Aborted (asked for)", {CANDIDATE: "abort"}),
    ],
)
def test_phase_is_shown_before_and_after(cluster: Cluster, wish, after, written):
    """One line says what the request has changed."""
    on_trial(cluster)
    result = cluster.run("candidate", wish, "fraud")
    assert result.output == f"fraud-next: Trial at 5 % (at 5 %: waits) -> {after}\n"
    assert result.exit_code == 0
    assert cluster.annotations() == written


def test_resume_takes_the_pause_away(cluster: Cluster):
    """The annotation goes, and the trial goes on."""
    on_trial(cluster, annotation="pause", phase="Paused")
    result = cluster.run("candidate", "resume", "fraud")
    assert result.output.endswith("-> Trial at 5 % (at 5 %: waits)\n")
    assert cluster.annotations() == {}


def test_resume_of_what_is_not_paused_changes_nothing(cluster: Cluster):
    """A request that stands, other than a pause, is not taken back by a resume."""
    on_trial(cluster, annotation="promote", answered="promote")
    result = cluster.run("candidate", "resume", "fraud")
    assert result.output == "fraud-next is not paused: Trial at 5 % (at 5 %: waits)\n"
    assert (result.exit_code, cluster.writes) == (0, [])


def test_request_that_was_answered_before_counts_again(cluster: Cluster):
    """The same word for another template is taken away first, so that the operator hears it."""
    on_trial(cluster, annotation="promote", answered="promote")
    result = cluster.run("candidate", "promote", "fraud")
    assert result.output.endswith("-> Trial at 25 % (at 25 %: its last step)\n")
    assert [body["metadata"]["annotations"] for body in cluster.bodies] == [
        {CANDIDATE: None},
        {CANDIDATE: "promote"},
    ]


def test_only_the_annotation_is_written_and_a_conflict_is_retried(cluster: Cluster):
    """The spec stays, whoever else writes meanwhile."""
    on_trial(cluster).faults.append(Fault("patch", "fraud", status=409))
    assert cluster.run("candidate", "pause", "fraud").exit_code == 0
    (body,) = cluster.bodies
    assert body["metadata"].keys() == {"resourceVersion", "annotations"}
    assert body.keys() == {"metadata"}


def test_operator_that_cannot_do_it_now_is_told(cluster: Cluster):
    """Held by a brake, or not running: the request stands, and the person knows."""
    on_trial(cluster).operator = None
    held = {"candidate": TRIAL, "held": "maintenance: Sat"}
    cluster.operator = lambda _: held
    result = cluster.run("candidate", "abort", "fraud")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "fraud-next: Trial at 5 % (at 5 %: waits) -> Trial at 5 % (at 5 %: waits)",
        "Backstop has not done so within 10 s: maintenance: Sat",
    ]


PLAIN = {key: value for key, value in SPEC["candidate"].items() if key != "progression"}


@pytest.mark.parametrize(
    ("wish", "changes", "trial", "said"),
    [
        ("pause", {"candidate": None}, {}, "fraud has no candidate: name one in spec.candidate"),
        (
            "promote",
            {"candidate": PLAIN},
            {},
            (
                "the candidate of fraud has no progression, so Backstop does not move its traffic:"
                " give it steps in spec.candidate.progression"
            ),
        ),
        (
            "abort",
            {"mode": "Observe"},
            {},
            "the mode of fraud is Observe, in which no traffic is moved: set spec.mode to Act",
        ),
        (
            "promote",
            {},
            {"phase": "Aborted", "weight": 0, "why": "errors 50 %"},
            (
                "the trial of fraud-next is over: Aborted (errors 50 %); another pod template"
                " begins another trial"
            ),
        ),
        (
            "pause",
            {"interval": "soon"},
            {},
            (
                'fraud: spec.interval: "soon" is not a duration; write a whole number and ms, s, m,'
                " h or d, for example 500ms, 30s or 5m"
            ),
        ),
    ],
)
def test_request_that_could_do_nothing_is_refused(cluster: Cluster, wish, changes, trial, said):
    """A person learns at once that nothing will come of it, and nothing is written."""
    spec = {name: value for name, value in {**SPEC, **changes}.items() if value is not None}
    cluster.monitor(spec=spec, status={"candidate": TRIAL | trial})
    result = cluster.run("candidate", wish, "fraud")
    assert (result.output, result.exit_code) == (f"Error: {said}\n", 1)
    assert cluster.writes == []


def test_candidate_without_progression_can_be_aborted(cluster: Cluster):
    """Its traffic is moved by others, and can be taken away all the same."""
    on_trial(cluster)
    key = "apis/backstop.dev/v1alpha1/modelmonitors", "demo", "fraud"
    cluster.store.objects[key]["spec"]["candidate"] = PLAIN
    result = cluster.run("candidate", "abort", "fraud")
    assert result.output.endswith("-> Aborted (asked for)\n")


def test_candidate_is_the_one_of_the_roles_as_they_are(cluster: Cluster):
    """After a promotion by SwapRoles the former target is the candidate."""
    on_trial(cluster)
    key = "apis/backstop.dev/v1alpha1/modelmonitors", "demo", "fraud"
    cluster.store.objects[key]["status"]["promoted"] = "fraud-next"
    cluster.operator = None
    result = cluster.run("candidate", "resume", "fraud")
    assert result.output.startswith("fraud is not paused")
