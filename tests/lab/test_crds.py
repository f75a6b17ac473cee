"""Definitions of other projects: pinned, complete, and kept once they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstop_lab import crds
from backstop_lab.errors import LabError


def _module(directory: Path) -> Path:
    definition = {"kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"}}
    other = {"kind": "ConfigMap", "metadata": {"name": "x"}}
    directory.mkdir()
    text = "\n---\n".join(map(json.dumps, (definition, None, other)))
    (directory / "crd.yaml").write_text(text)
    return directory


def test_definitions_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only definitions are taken, and a second start asks for no module."""
    module = _module(tmp_path / "module")
    monkeypatch.setattr(crds, "FOREIGN", (("example.com/m", "1.2.3", "*.yaml"),))
    monkeypatch.setattr(crds, "find_go", lambda _: Path("go"))
    asked: list[tuple[str, str]] = []

    def download(_go: Path, name: str, version: str) -> Path:
        asked.append((name, version))
        return module

    monkeypatch.setattr(crds, "_download", download)
    kept = crds.foreign(tmp_path / "cache")
    assert [one["metadata"]["name"] for one in crds.read(kept)] == ["things.example.com"]
    assert crds.foreign(tmp_path / "cache") == kept
    assert asked == [("example.com/m", "1.2.3")]


def test_another_version_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older pin left behind is not taken for the new one."""
    module = _module(tmp_path / "module")
    monkeypatch.setattr(crds, "find_go", lambda _: Path("go"))
    monkeypatch.setattr(crds, "_download", lambda *_: module)
    monkeypatch.setattr(crds, "FOREIGN", (("example.com/m", "1.2.3", "*.yaml"),))
    old = crds.foreign(tmp_path / "cache")
    monkeypatch.setattr(crds, "FOREIGN", (("example.com/m", "1.2.4", "*.yaml"),))
    assert crds.foreign(tmp_path / "cache") != old


def test_a_module_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    """With what Go says of it."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(LabError, match=r"download example\.com/m v1\.2\.3:\nno such module"):
        crds._download(go, "example.com/m", "1.2.3")


@pytest.mark.cluster
def test_each_project_has_its_definitions() -> None:
    """Those that the adapters' tests make objects of."""
    names = {one["metadata"]["name"] for one in crds.read(crds.foreign())}
    assert names >= {
        "virtualservices.networking.istio.io",
        "inferenceservices.serving.kserve.io",
        "rollouts.argoproj.io",
        "canaries.flagger.app",
    }
