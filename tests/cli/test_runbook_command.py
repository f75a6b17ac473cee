"""`backstop runbook show` renders the steps that hold, from a cluster or from files."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.cli.conftest import SPEC, Cluster

from backstop.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNBOOKS = "/apis/backstop.dev/v1alpha1/namespaces/demo/runbooks"
STEPS = [{"name": "more", "scale": {"by": "50%", "max": 8}}]
TEAM = {
    "apiVersion": "backstop.dev/v1alpha1",
    "kind": "Runbook",
    "metadata": {"name": "team"},
    "spec": {"description": "For all models.", "infrastructure": STEPS},
}


def show(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["runbook", "show", *arguments])


def written(tmp_path: Path, *monitors: str, runbook: object = None, also: object = None) -> str:
    """Return a file with monitors of these names."""
    spec = {**SPEC, "runbook": runbook} if runbook is not None else SPEC
    objects = [
        {
            "apiVersion": "backstop.dev/v1alpha1",
            "kind": "ModelMonitor",
            "metadata": {"name": name},
            "spec": spec,
        }
        for name in monitors
    ]
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all([*objects, *([also] if also else [])]), encoding="utf-8")
    return str(file)


def test_runbook_of_the_example_is_a_page():
    """Monitor and Runbook come from two files, and no cluster is asked."""
    files = [str(EXAMPLES / name) for name in ("modelmonitor-runbook.yaml", "runbook.yaml")]
    result = show("credit", "--file", files[0], "--file", files[1])
    assert result.exit_code == 0
    assert result.output.startswith("# Runbook of ModelMonitor default/credit\n")
    assert "These steps are those of Runbook `credit-models`." in result.output
    assert "ask for 50 % more pods of Deployment `credit`, at most 8." in result.output
    assert "## release\n\nThe target's newest revision is at fault. These steps are built-in." in (
        result.output
    )


def test_one_cause_can_be_chosen():
    """A person on call reads the part that matters."""
    file = str(EXAMPLES / "modelmonitor-minimal.yaml")
    shown = show("-f", file, "--cause", "data", "-n", "shop").output
    assert [line for line in shown.splitlines() if line.startswith("#")] == [
        "# Runbook of ModelMonitor shop/fraud",
        "## data",
    ]


def test_steps_of_the_monitor_itself(tmp_path):
    """A monitor may hold its steps, and need not be named where it is alone."""
    file = written(tmp_path, "fraud", runbook={"data": STEPS})
    assert "These steps are written in the monitor." in show("-f", file).output


def test_runbook_that_is_in_no_file_is_told(tmp_path):
    """The built-in steps are shown, and what is missing is said."""
    file = written(tmp_path, "fraud", runbook={"name": "team"})
    said = "**The built-in steps hold: Runbook team is in none of the files; name its file with"
    assert said in show("-f", file).output
    file = written(tmp_path, "fraud", runbook={"name": "team"}, also=TEAM)
    assert "For all models." in show("-f", file).output


@pytest.mark.parametrize(
    ("monitors", "arguments", "said"),
    [
        ((), (), "no ModelMonitor found: is this the right file?"),
        (
            ("fraud",),
            ("frod",),
            "no ModelMonitor frod in the files; they hold the monitor fraud",
        ),
        (("a", "b"), (), "the files hold the monitors a, b: name one of them"),
        (("a", "b"), ("c",), "no ModelMonitor c in the files; they hold the monitors a, b"),
    ],
)
def test_monitor_is_chosen_from_the_files(tmp_path, monitors, arguments, said):
    """Nothing is guessed where the files hold none, or several."""
    result = show(*arguments, "-f", written(tmp_path, *monitors))
    assert (result.output, result.exit_code) == (f"Error: {said}\n", 1)


def test_mistake_in_a_file_is_told(tmp_path):
    """A page is only made of what the API server would take."""
    steps = [{"name": "a", "rollback": {}, "restart": {}}]
    file = written(tmp_path, "fraud", runbook={"data": steps})
    result = show("-f", file)
    assert result.exit_code == 1
    assert "spec.runbook.data[0]: a step needs exactly one of openCircuit" in result.output
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    result = show("-f", str(tmp_path / "broken.yaml"))
    assert "broken.yaml: line 2 is not valid YAML" in result.output


def test_neither_monitor_nor_files_is_a_mistake():
    """The command says what it needs."""
    result = show()
    assert result.exit_code == 2
    assert "name a MONITOR, or files with --file" in result.output


def test_runbook_of_the_cluster(cluster: Cluster):
    """The Runbook that the monitor names is read from its namespace."""
    cluster.monitor(spec={**SPEC, "runbook": {"name": "team"}})
    cluster.add(RUNBOOKS, TEAM)
    result = cluster.run("runbook", "show", "fraud")
    assert result.exit_code == 0
    assert "# Runbook of ModelMonitor demo/fraud" in result.output
    assert "For all models." in result.output
    assert "1. **more**: ask for 50 % more pods of Deployment `fraud`, at most 8." in result.output
    assert cluster.writes == []


def test_runbook_that_is_missing_in_the_cluster_is_told(cluster: Cluster):
    """The built-in steps hold meanwhile, as they do for the operator."""
    cluster.monitor(spec={**SPEC, "runbook": {"name": "team"}})
    assert (
        "**The built-in steps hold: Runbook/team does not exist in namespace demo: create it, or"
        " correct its name**"
    ) in cluster.run("runbook", "show", "fraud").output


def test_open_incident_is_on_the_page(cluster: Cluster):
    """The step that is reached is marked where it stands."""
    at = "2026-11-23T07:30:00.000000Z"
    incident = {
        "name": "fraud-1",
        "cause": "data",
        "severity": "P1",
        "arm": "target",
        "onset": at,
        "detected": at,
        "why": "nulls 20 %",
        "steps": [{"name": "to-the-fallback", "step": "openCircuit", "state": "Done", "since": at}],
    }
    cluster.monitor(status={"incident": incident})
    shown = cluster.run("runbook", "show", "fraud", "--cause", "data").output
    assert "**Incident fraud-1 is under way** since 2026-11-23 07:30:00 UTC" in shown
    assert "1. **to-the-fallback** (done since 07:30:00 UTC): give all traffic to" in shown


def test_invalid_monitor_is_told(cluster: Cluster):
    """There is no page about a spec that nobody understands."""
    cluster.monitor(spec={**SPEC, "interval": "soon"})
    result = cluster.run("runbook", "show", "fraud")
    assert result.output.startswith('Error: fraud: spec.interval: "soon" is not a duration;')
    assert result.exit_code == 1


def test_terminal_gets_headings_instead_of_markup():
    """On a terminal nobody has to read asterisks; a pipe gets Markdown."""
    file = str(EXAMPLES / "modelmonitor-minimal.yaml")
    shown = show("-f", file, "--output", "terminal").output
    assert "to-the-fallback" in shown
    assert "**" not in shown
    assert "**to-the-fallback**" in show("-f", file).output
    assert "**to-the-fallback**" in show("-f", file, "--output", "markdown").output
