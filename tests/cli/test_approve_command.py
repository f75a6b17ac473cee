"""`backstop approve` answers exactly the action that waits, and says what became of it."""

import time
from typing import Any

import pytest
from tests.cli.conftest import MONITORS, Cluster
from tests.fakeapi.faults import Fault

from backstop.core.requests import APPROVE, DENY, requests

MONITOR = f"{MONITORS}/fraud"


def waiting(**changes: Any) -> dict[str, Any]:
    """Return a status in which a rollback waits for approval."""
    approval = {
        "id": "9c1d",
        "step": "rollback",
        "asked": "2026-11-23T07:30:05.000000Z",
        "expires": "2099-11-23T08:00:05.000000Z",
        "why": "the release is to blame",
    }
    return {"approval": approval | changes, "why": "waits for approval"}


def answers(body: dict[str, Any]) -> dict[str, Any] | None:
    """Do as the operator does: act on the annotations."""
    asked = requests(body["metadata"].get("annotations") or {})
    if "9c1d" in asked.denied:
        return {"why": "rollback was denied; it is not taken"}
    return {"why": "rolling back"} if "9c1d" in asked.approved else None


@pytest.fixture
def asking(cluster: Cluster) -> Cluster:
    """Give a monitor that waits, and an operator that answers."""
    cluster.monitor(status=waiting())
    cluster.operator = answers
    return cluster


def test_what_waits_is_shown_before_it_is_approved(asking: Cluster):
    """Without an id a person sees step, reason and expiry, and is asked."""
    result = asking.run("approve", "fraud", typed="y\n")
    assert result.output == (
        "ModelMonitor demo/fraud asks to take the step rollback (9c1d)\n"
        "  why      the release is to blame\n"
        "  asked    2026-11-23 07:30:05 UTC\n"
        "  expires  2099-11-23 08:00:05 UTC\n"
        "Approve it? [y/N]: y\n"
        "approved: rolling back\n"
    )
    assert result.exit_code == 0
    assert asking.annotations() == {APPROVE: "9c1d"}


def test_no_is_no(asking: Cluster):
    """Whoever says no at the question has changed nothing."""
    result = asking.run("approve", "fraud", typed="n\n")
    assert result.exit_code == 1
    assert asking.writes == []


@pytest.mark.parametrize("arguments", [("--yes",), ("9c1d",)])
def test_nothing_is_asked_of_a_script(asking: Cluster, arguments):
    """With --yes, or with the id, there is no question."""
    result = asking.run("approve", "fraud", *arguments)
    assert (result.output, result.exit_code) == ("approved: rolling back\n", 0)


def test_denial_is_an_annotation_of_its_own(asking: Cluster):
    """A refusal counts more than an approval, so both never stand for one action."""
    asking.run("approve", "fraud", "9c1d")
    asking.store.objects["apis/backstop.dev/v1alpha1/modelmonitors", "demo", "fraud"]["status"] = (
        waiting()
    )
    result = asking.run("approve", "fraud", "--deny", "--yes")
    assert result.output == "denied: rollback was denied; it is not taken\n"
    assert asking.annotations() == {DENY: "9c1d"}


def test_ids_that_wait_no_more_are_dropped(cluster: Cluster):
    """The annotation does not grow, and other annotations are left alone."""
    planned = {
        "id": "live",
        "step": "openCircuit",
        "state": "Planned",
        "subject": "HTTPRoute/fraud",
        "plannedAt": "2026-11-23T07:30:05.000000Z",
    }
    annotations = {APPROVE: "old, live", DENY: "older,9c1d", "team": "credit"}
    cluster.monitor(
        metadata={"name": "fraud", "annotations": annotations},
        status=waiting() | {"action": planned},
    )
    cluster.run("approve", "fraud", "9c1d")
    assert cluster.annotations() == {APPROVE: "live,9c1d", "team": "credit"}


def test_only_annotations_are_written_under_the_version_that_was_read(asking: Cluster):
    """The spec is not touched, whatever happens meanwhile."""
    before = asking.store.objects["apis/backstop.dev/v1alpha1/modelmonitors", "demo", "fraud"]
    asking.run("approve", "fraud", "9c1d")
    after = asking.store.objects["apis/backstop.dev/v1alpha1/modelmonitors", "demo", "fraud"]
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1
    assert asking.writes == [("patch", MONITOR)]
    version = before["metadata"]["resourceVersion"]
    annotations = {APPROVE: "9c1d", DENY: None}
    assert asking.bodies == [{"metadata": {"resourceVersion": version, "annotations": annotations}}]


def test_conflict_is_retried_once(asking: Cluster):
    """Somebody else's write in between is no failure; it is read again."""
    asking.faults.append(Fault("patch", MONITOR, status=409))
    result = asking.run("approve", "fraud", "9c1d")
    assert (result.output, result.exit_code) == ("approved: rolling back\n", 0)


def test_second_conflict_is_told(asking: Cluster):
    """Two in a row are left to the person."""
    asking.faults += [Fault("patch", MONITOR, nth, status=409) for nth in (1, 2)]
    result = asking.run("approve", "fraud", "9c1d")
    assert result.exit_code == 1
    assert result.output == "Error: patch modelmonitors demo/fraud: made to fail\n"


def test_operator_that_does_not_answer_is_told(cluster: Cluster):
    """The approval is written all the same."""
    cluster.monitor(status=waiting())
    result = cluster.run("approve", "fraud", "9c1d")
    assert result.exit_code == 0
    assert result.output == (
        "approved, but Backstop has not answered within 10 s: does it run? waits for approval\n"
    )
    assert cluster.annotations() == {APPROVE: "9c1d"}


def test_late_answer_is_warned_of(cluster: Cluster):
    """An approval after its time has no effect, so a person is told before."""
    past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    cluster.monitor(status=waiting(expires=past))
    result = cluster.run("approve", "fraud", typed="n\n")
    assert "which is over: an answer may come too late" in result.output


@pytest.mark.parametrize(
    ("status", "arguments", "said"),
    [
        ({}, (), "nothing of fraud waits for approval"),
        ({"why": "no action"}, (), "nothing of fraud waits for approval: no action"),
        (
            waiting(),
            ("ab12",),
            ("no action ab12 of fraud waits for approval; the one that waits is 9c1d (rollback)"),
        ),
    ],
)
def test_nothing_but_what_waits_is_approved(cluster: Cluster, status, arguments, said):
    """An old id, or a wrong one, approves nothing."""
    cluster.monitor(status=status)
    result = cluster.run("approve", "fraud", *arguments)
    assert (result.output, result.exit_code) == (f"Error: {said}\n", 1)
    assert cluster.writes == []


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("frod", (), "there is no ModelMonitor frod in namespace demo; did you mean fraud?"),
        (
            "prices",
            (),
            (
                "there is no ModelMonitor prices in namespace demo; there is one in namespace"
                " shop: add -n shop"
            ),
        ),
        ("xyz", (), "there is no ModelMonitor xyz in namespace demo; it has credit, fraud"),
        ("fraud", ("-n", "empty"), "there is no ModelMonitor fraud in namespace empty; there is"),
        ("xyz", ("-n", "empty"), "there is no ModelMonitor xyz in namespace empty; it has none"),
        ("xyz", ("--context", "bare"), "there is no ModelMonitor xyz in namespace default; it has"),
    ],
)
def test_wrong_name_is_answered_with_the_right_one(asking: Cluster, name, arguments, said):
    """A slip of the finger, or of the namespace, costs no search."""
    asking.monitor("credit")
    asking.monitor("prices", "shop")
    result = asking.run("approve", name, *arguments)
    assert result.output.startswith(f"Error: {said}")
    assert result.exit_code == 1


def test_missing_names_may_be_forbidden_to_list(asking: Cluster):
    """Whoever may read one monitor only still gets a sentence."""
    asking.faults += [Fault("list", "modelmonitors", nth, status=403) for nth in (1, 2)]
    result = asking.run("approve", "frod")
    assert result.output == (
        "Error: there is no ModelMonitor frod in namespace demo; it has none\n"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "you may not do this: get modelmonitors demo/fraud: made to fail"),
        (500, "get modelmonitors demo/fraud: made to fail"),
        (404, "there is no ModelMonitor fraud in namespace demo"),
    ],
)
def test_refusal_is_one_sentence(asking: Cluster, status, said):
    """What the API server says, without a trace of the program."""
    asking.faults.append(Fault("get", MONITOR, status=status))
    result = asking.run("approve", "fraud")
    assert result.output.startswith(f"Error: {said}")
    assert result.exit_code == 1


def test_cluster_without_the_kinds_is_told_how_to_install_them(asking: Cluster):
    """The server's own words about an unknown path."""
    said = "the server could not find the requested resource"
    asking.faults.append(Fault("get", MONITOR, status=404, message=said))
    result = asking.run("approve", "fraud")
    assert result.output == (
        "Error: this cluster does not know ModelMonitors; install them with"
        " `backstop crds | kubectl apply --server-side -f -`\n"
    )


def test_kubeconfig_that_is_not_there_is_told(cluster: Cluster, tmp_path):
    """Nothing is guessed."""
    cluster.kubeconfig = tmp_path / "nowhere"
    result = cluster.run("approve", "fraud")
    assert result.output == (
        f"Error: cannot load a Kubernetes configuration: there is no file {cluster.kubeconfig};"
        " name one with --kubeconfig FILE or $KUBECONFIG\n"
    )
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a kubeconfig"),
        ("hello", "is not a kubeconfig"),
        ("- a", "is not a kubeconfig"),
        ("kind: ModelMonitor", "is not a kubeconfig"),
        ("a:\n\tb: 1", "is not YAML"),
        ("contexts: [a]", "is not a kubeconfig: contexts must be a list with names"),
        ("contexts: [{name: a}]", "says no current-context; choose one with --context: it has a"),
        (
            "contexts: [{name: a, context: 5}]\nclusters: []\ncurrent-context: a",
            "cannot load a Kubernetes configuration: ",
        ),
        ("contexts: []\ncurrent-context: b", "there is no context b in"),
    ],
)
def test_kubeconfig_that_is_none_is_told(cluster: Cluster, text, said):
    """Whatever the file holds, what is wrong with it is one sentence."""
    cluster.kubeconfig.write_text(text)
    result = cluster.run("approve", "fraud")
    assert result.output.startswith("Error: cannot load a Kubernetes configuration: ")
    assert said in result.output
    assert result.output.count("\n") == 1
    assert isinstance(result.exception, SystemExit)


def test_context_that_is_not_there_is_told(cluster: Cluster):
    """With those that are."""
    result = cluster.run("approve", "fraud", "--context", "prod")
    assert result.output == (
        "Error: cannot load a Kubernetes configuration: there is no context prod in"
        f" {cluster.kubeconfig}; it has demo, bare\n"
    )


def test_server_that_is_down_is_told(cluster: Cluster):
    """Nobody listens at the address of the kubeconfig."""
    text = cluster.kubeconfig.read_text().replace(cluster.url, "http://127.0.0.1:9")
    cluster.kubeconfig.write_text(text)
    result = cluster.run("approve", "fraud")
    assert result.output == (
        "Error: get modelmonitors demo/fraud: cannot connect to the API server;"
        " its address is http://127.0.0.1:9\n"
    )


@pytest.mark.parametrize("name", ["", "mm/fraud", "fraud/status", "fraud?x", "../fraud"])
def test_name_that_is_none_is_told(cluster: Cluster, name):
    """As of a variable that is not set: nothing but a name reaches the path of a request."""
    cluster.monitor()
    result = cluster.run("approve", name)
    assert result.output == (
        f'Error: "{name}" is not the name of a ModelMonitor: write the name alone, for example'
        " fraud\n"
    )
    assert result.exit_code == 1


def test_namespace_that_is_none_is_told(cluster: Cluster):
    """Before anything is asked."""
    result = cluster.run("approve", "fraud", "-n", "a/b")
    assert result.output == 'Error: "a/b" is not the name of a namespace\n'
    assert result.exit_code == 1
