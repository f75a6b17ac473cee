"""Which programs the lab accepts, where it keeps them, and what it says when it cannot run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from backstop_lab import binaries, build
from backstop_lab.__main__ import main
from backstop_lab.binaries import BINARIES, Binary
from backstop_lab.errors import LabError
from backstop_lab.namespace import refusal
from backstop_lab.toolchain import go_version

BY_NAME = {binary.name: binary for binary in BINARIES}


def _program(directory: Path, name: str, output: str) -> Path:
    """Write a program that prints `output`, whatever it is asked."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    program.chmod(0o755)
    return program


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "path"), **more}


@pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: binary.name)
def test_each_program_is_pinned_by_its_module(binary: Binary) -> None:
    """Each program's version is read from a go.mod that also names it as a tool."""
    go_mod = (binaries.MODULES / binary.family / "go.mod").read_text()
    assert binary.version[0].isdigit()
    assert binary.package in go_mod.partition("tool ")[2]


def test_missing_requirement_says_which_module() -> None:
    """A go.mod that does not require the module leads to an error that names it."""
    with pytest.raises(ValueError, match=r"does not require example\.com/a;"):
        binaries.module_version("module x\nrequire example.com/ab v1.0.0\n", "example.com/a")


def test_prometheus_module_version_is_told_as_its_release() -> None:
    """The module v0.MMm.p is the release M.m.p, which is what the program itself reports."""
    assert BY_NAME["prometheus"].version.startswith("3.")


@pytest.mark.parametrize(
    ("name", "change", "fits"),
    [
        ("kube-apiserver", (0, 0, 1), True),
        ("kube-apiserver", (0, 1, 0), False),
        ("kubectl", (0, -1, 0), False),
        ("etcd", (0, 1, 0), True),
        ("etcd", (1, 0, 0), False),
        ("prometheus", (0, 1, 0), True),
        ("contour", (0, 1, 0), False),
    ],
)
def test_only_fitting_versions_stand_in(
    name: str, change: tuple[int, int, int], fits: object
) -> None:
    """Kubernetes and Contour must have the same minor version, the others the same major."""
    ours = [int(part) for part in BY_NAME[name].version.split(".")]
    theirs = ".".join(str(part + step) for part, step in zip(ours, change, strict=True))
    assert BY_NAME[name].accepts(f"{name}, Version: v{theirs} (built today)") is fits


def test_output_without_a_version_does_not_fit() -> None:
    """A program that does not say its version is not trusted to fit."""
    assert not BY_NAME["contour"].accepts("Version: unknown")


def test_assets_come_before_path_and_path_before_the_cache(tmp_path: Path) -> None:
    """KUBEBUILDER_ASSETS wins over PATH, PATH over the cache; what does not fit is passed over."""
    etcd = BY_NAME["etcd"]
    assets = tmp_path / "assets"
    environment = _environment(tmp_path, KUBEBUILDER_ASSETS=str(assets))
    assert binaries.find(etcd, environment) is None
    cached = etcd.cached_at(binaries.cache_directory(environment))
    _program(cached.parent, "etcd", "")
    assert binaries.find(etcd, environment) == cached
    on_path = _program(tmp_path / "path", "etcd", f"etcd Version: {etcd.version}")
    assert binaries.find(etcd, environment) == on_path
    in_assets = _program(assets, "etcd", f"etcd Version: {etcd.version}")
    assert binaries.find(etcd, environment) == in_assets
    _program(assets, "etcd", "etcd Version: 2.0.0")
    assert binaries.find(etcd, environment) == on_path


def test_cache_place_changes_with_what_the_build_depends_on(tmp_path: Path) -> None:
    """Another package or other tags lead to another file, so nothing stale is ever run."""
    binary = BY_NAME["prometheus"]
    others = [
        dataclasses.replace(binary, tags="other"),
        dataclasses.replace(binary, package=f"{binary.package}/other"),
    ]
    places = {item.cached_at(tmp_path) for item in (binary, *others)}
    assert len(places) == 3
    assert binary.cached_at(tmp_path).name == "prometheus"
    assert binary.version in binary.cached_at(tmp_path).parent.name


def test_cache_follows_xdg() -> None:
    """The cache is below XDG_CACHE_HOME, or below ~/.cache where that is unset or empty."""
    assert binaries.cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/backstop-lab")
    assert binaries.cache_directory({"XDG_CACHE_HOME": ""}).parts[-2:] == (".cache", "backstop-lab")


@pytest.mark.parametrize(
    ("output", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go version devel", None), ("", None)],
)
def test_go_version_is_read(output: str, version: tuple[int, int] | None) -> None:
    """Only a Go that states a release counts."""
    assert go_version(output) == version


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces=15000"),
        ({"user/max_user_namespaces": "96365"}, "--privileged"),
        ({}, "--privileged"),
    ],
)
def test_refusal_is_one_sentence_with_the_remedy(settings: dict[str, str], remedy: str) -> None:
    """A machine that forbids namespaces is told, in one sentence, how to allow them."""
    sentence = refusal(settings)
    assert remedy in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    assert "\n" not in sentence


def test_unfit_machine_exits_with_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where namespaces cannot be made, `exec` says so on standard error and returns 2."""
    _program(tmp_path, "unshare", "")
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "ensure_all", dict)
    assert main(["exec", "--", "true"]) == 2
    assert capsys.readouterr().err.startswith("backstop-lab: This ")


def test_failed_build_shows_the_end_of_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A build error names the program and shows the last 20 lines; no half-made program stays."""
    go = _program(tmp_path / "path", "go", "go version go1.99.0 linux/amd64")
    go.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo go version go1.99.0 && exit 0\n'
        "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done\nexit 1\n"
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(LabError) as caught:
        build.ensure_all()
    text = str(caught.value)
    assert "etcd failed" in text
    assert "line 31\n" in text
    assert "line 30\n" not in text
    assert not list((tmp_path / "cache").glob("**/etcd*/etcd*"))


def test_second_run_builds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Programs that are in the cache are used as they are, without Go or any network."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    cache = binaries.cache_directory({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    for binary in BINARIES:
        place = binary.cached_at(cache)
        _program(place.parent, place.name, "")
    definitions = build.crds.cached_at(cache)
    definitions.write_text(json.dumps([]))
    programs = build.ensure_all()
    assert programs["etcd"] == BY_NAME["etcd"].cached_at(cache)
    assert programs["crds"] == definitions
    assert programs["envoy"].name == "envoy"
