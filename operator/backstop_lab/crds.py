"""Provides custom resource definitions from pinned Go modules.

Those that the gateway needs are part of the lab; those of other projects are for tests. All are
kept as JSON in the cache, so a later start needs neither Go nor a YAML parser.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from backstop_lab.binaries import MODULES, cache_directory, module_version
from backstop_lab.errors import LabError
from backstop_lab.toolchain import find_go, go_environment

_FAMILY = MODULES / "contour"
# Contour watches TLSRoute, which only the experimental channel of the Gateway API has.
_SOURCES = (
    ("sigs.k8s.io/gateway-api", "config/crd/experimental/*.yaml"),
    ("github.com/projectcontour/contour", "examples/contour/01-crds.yaml"),
)


class Foreign(NamedTuple):
    """The definitions of another project: a module, its checksum as in a go.sum, and its files."""

    module: str
    version: str
    checksum: str
    pattern: str


FOREIGN = (
    Foreign(
        "istio.io/api",
        "1.31.1",
        "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=",
        "kubernetes/customresourcedefinitions.gen.yaml",
    ),
    Foreign(
        "github.com/kserve/kserve",
        "0.20.0",
        "h1:Bs7HxmGV4KFqqptDcWseKv+mwD4YOYHJWcuVgPG2Gug=",
        "config/crd/full/**/serving.kserve.io_inferenceservices.yaml",
    ),
    Foreign(
        "github.com/argoproj/argo-rollouts",
        "1.9.1",
        "h1:+oZciUkeJYVb1vPMOhat4JQlk525j/aT2yizEkVkjLs=",
        "manifests/crds/*.yaml",
    ),
    Foreign(
        "github.com/fluxcd/flagger",
        "1.44.0",
        "h1:JAb2mE3AAO5Y/JkfHy6xbFDPDPk9lGvqXwmtztNbdhw=",
        "artifacts/flagger/crd.yaml",
    ),
    *(
        Foreign(
            "github.com/prometheus-operator/prometheus-operator",
            "0.85.0",
            "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml",
        )
        for plural in ("servicemonitors", "prometheusrules")
    ),
)
"""The projects that Backstop works with, for tests of its adapters and of the chart."""


def cached_at(cache_dir: Path | None = None) -> Path:
    """Return where the definitions are kept; the name changes with the pinned modules."""
    key = hashlib.sha256((_FAMILY / "go.sum").read_bytes() + repr(_SOURCES).encode())
    return (cache_dir or cache_directory()) / f"crds-{key.hexdigest()[:12]}.json"


def ensure() -> Path:
    """Return a JSON file with the list of definitions, written on first use."""
    kept = cached_at()
    if not kept.is_file():
        _keep(kept, list(_read_definitions()))
    return kept


def _keep(kept: Path, definitions: list[dict[str, Any]]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(definitions))
    unfinished.rename(kept)


def foreign(cache_dir: Path | None = None) -> Path:
    """Return a JSON file with the definitions of `FOREIGN`, written on first use.

    Raises:
        LabError: Go cannot download a module, its checksum is another, or a file is not in it.
    """
    key = hashlib.sha256(repr(FOREIGN).encode()).hexdigest()[:12]
    kept = (cache_dir or cache_directory()) / f"foreign-crds-{key}.json"
    if not kept.is_file():
        go = find_go(cache_directory())
        _keep(kept, [document for one in FOREIGN for document in _foreign_documents(go, one)])
    return kept


def _foreign_documents(go: Path, wanted: Foreign) -> list[dict[str, Any]]:
    # Outside of any module, since no go.sum of ours knows these.
    found = _download(go, wanted.module, wanted.version, Path("/"))
    if found["Sum"] != wanted.checksum:
        raise LabError(
            f"{wanted.module} v{wanted.version} has checksum {found['Sum']} instead of"
            f" {wanted.checksum}: nothing of it is used"
        )
    documents = list(_documents(Path(found["Dir"]), wanted.pattern))
    if not documents:
        raise LabError(f"{wanted.module} v{wanted.version} has no definition in {wanted.pattern}")
    return documents


def read(kept: Path) -> list[dict[str, Any]]:
    """Return the definitions from the file that `ensure` returned."""
    definitions: list[dict[str, Any]] = json.loads(kept.read_text())
    return definitions


def _read_definitions() -> Iterator[dict[str, Any]]:
    go = find_go(cache_directory())
    for module, pattern in _SOURCES:
        yield from _documents(_module_directory(go, module), pattern)


def _documents(directory: Path, pattern: str) -> Iterator[dict[str, Any]]:
    import yaml  # noqa: PLC0415 - needed only on first use

    for file in sorted(directory.glob(pattern)):
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document


def module_file(module: str, path: str) -> Path:
    """Return a file of a pinned module. Raises LabError when Go cannot download it."""
    return _module_directory(find_go(cache_directory()), module) / path


def _module_directory(go: Path, module: str) -> Path:
    version = module_version((_FAMILY / "go.mod").read_text(), module)
    return Path(_download(go, module, version, _FAMILY)["Dir"])


def _download(go: Path, module: str, version: str, directory: Path) -> dict[str, str]:
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{module}@v{version}"],
        cwd=directory,
        env=go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"Go cannot download {module} v{version}:\n{done.stdout}{done.stderr}")
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    # The cluster's network namespace reaches nothing outside, so tests need them fetched before.
    print(foreign())
