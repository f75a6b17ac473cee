"""A machine that cannot run a real node says so in one sentence, and nothing is begun."""

from __future__ import annotations

import os
import sys

import pytest

from backstop_lab.binaries import MODULES, module_version
from backstop_lab.errors import LabError
from backstop_lab.real_node import __main__ as real_node
from backstop_lab.real_node import programs


def test_without_root_it_is_skipped_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Success with `--or-skip`, the exit code of an unfit machine without."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["real_node", "--or-skip", "--", "false"])
    assert real_node.main() == 0
    assert "SKIPPED, no real node here: A real node needs root" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["real_node", "--", "true"])
    assert real_node.main() == 2


def test_what_the_distribution_lacks_is_named(monkeypatch: pytest.MonkeyPatch):
    """With the command that installs it."""
    monkeypatch.setattr(programs.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(programs, "CNI_DIRECTORIES", ())
    with pytest.raises(LabError, match="runc iptables containernetworking-plugins`") as caught:
        programs.distribution_programs()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("binary", programs.NODE_BINARIES, ids=lambda binary: binary.name)
def test_each_program_is_pinned_by_its_module(binary: programs.Binary):
    """Its package is among the tools of a go.mod that pins its version."""
    assert binary.package in (MODULES / binary.family / "go.mod").read_text()
    assert binary.version.count(".") == 2


def test_kubelet_and_api_server_are_of_one_version():
    """They are pinned in two modules, so that one can be built without the other."""
    pins = {
        module_version((MODULES / family / "go.mod").read_text(), programs.KUBERNETES)
        for family in ("kubernetes", "node")
    }
    assert len(pins) == 1
