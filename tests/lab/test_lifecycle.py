"""However a run ends, it says so by its exit code and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.cluster import eventually

pytestmark = pytest.mark.cluster


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark every process that a test starts, through the environment."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("LAB_TEST_MARKER", value)
    yield value
    for process in _marked(value):
        os.kill(process, signal.SIGKILL)


def _marked(marker: str) -> list[int]:
    """Return the live processes that carry the marker, but for the tests themselves."""
    found: list[int] = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = f"LAB_TEST_MARKER={marker}".encode() in environment.read_bytes()
        except OSError:
            continue
        if marked and int(environment.parent.name) != os.getpid():
            found.append(int(environment.parent.name))
    return found


def _start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - commands of the tests
        [sys.executable, "-m", "backstop_lab", "exec", "--", *command],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "operator")},
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, None), (signal.SIGKILL, -9)]
)
def test_nothing_outlives_a_run(marker: str, number: signal.Signals, code: int | None) -> None:
    """SIGTERM and kill -9 to the outer process, and Ctrl-C in its terminal, end everything."""
    run = _start("sleep", "60")
    assert run.stderr is not None
    assert "ready" in run.stderr.readline()
    assert len(_marked(marker)) > 8
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    returned = run.wait(timeout=30)
    run.stderr.close()
    assert returned == (128 + signal.SIGINT if code is None else code)
    eventually("all processes gone", lambda: not _marked(marker), seconds=10)


def test_exit_code_of_the_command_is_returned(marker: str) -> None:
    """The run's exit code is the command's."""
    run = _start("sh", "-c", "exit 7")
    run.communicate(timeout=90)
    assert run.returncode == 7
    eventually("all processes gone", lambda: not _marked(marker), seconds=10)


def test_component_that_dies_is_named(marker: str) -> None:
    """When a part of the cluster ends, the run fails and says which, with its log."""
    script = """
        for process in /proc/[0-9]*; do
            case "$(readlink $process/exe)" in */contour) kill -9 ${process#/proc/};; esac
        done
        sleep 60"""
    run = _start("sh", "-c", script)
    _, errors = run.communicate(timeout=90)
    assert run.returncode == 1
    assert "contour exited with code -9" in errors
    assert "started xDS server" in errors
    eventually("all processes gone", lambda: not _marked(marker), seconds=10)
