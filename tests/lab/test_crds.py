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


def _pin(version: str = "1.2.3", checksum: str = "h1:a", pattern: str = "*.yaml") -> crds.Foreign:
    return crds.Foreign("example.com/m", version, checksum, pattern)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is downloaded of a module with the checksum `h1:a`, which is all there is."""
    module = _module(tmp_path / "module")
    downloaded: list[str] = []

    def download(_go: Path, name: str, version: str, directory: Path) -> dict[str, str]:
        assert not list(directory.glob("go.mod"))
        downloaded.append(f"{name}@{version}")
        return {"Dir": str(module), "Sum": "h1:a"}

    monkeypatch.setattr(crds, "find_go", lambda _: Path("go"))
    monkeypatch.setattr(crds, "_download", download)
    monkeypatch.setattr(crds, "FOREIGN", (_pin(),))
    return downloaded


def test_definitions_are_read_once(tmp_path: Path, asked: list[str]) -> None:
    """Only definitions are taken, and a second start asks for no module."""
    kept = crds.foreign(tmp_path / "cache")
    assert [one["metadata"]["name"] for one in crds.read(kept)] == ["things.example.com"]
    assert crds.foreign(tmp_path / "cache") == kept
    assert asked == ["example.com/m@1.2.3"]


def test_another_version_is_kept_elsewhere(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older pin left behind is not taken for the new one."""
    old = crds.foreign(tmp_path / "cache")
    monkeypatch.setattr(crds, "FOREIGN", (_pin("1.2.4"),))
    assert crds.foreign(tmp_path / "cache") != old
    assert asked == ["example.com/m@1.2.3", "example.com/m@1.2.4"]


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        (_pin(checksum="h1:b"), "has checksum h1:a instead of h1:b: nothing of it is used"),
        (_pin(pattern="none/*.yaml"), r"m v1\.2\.3 has no definition in none/\*\.yaml"),
    ],
)
def test_what_is_not_as_pinned_is_not_kept(
    pin: crds.Foreign,
    said: str,
    tmp_path: Path,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next start tries again."""
    monkeypatch.setattr(crds, "FOREIGN", (pin,))
    for _ in range(2):
        with pytest.raises(LabError, match=said):
            crds.foreign(tmp_path / "cache")
    assert len(asked) == 2


def test_a_module_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    """With what Go says of it."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(LabError, match=r"download example\.com/m v1\.2\.3:\nno such module"):
        crds._download(go, "example.com/m", "1.2.3", tmp_path)


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
