"""Provides the custom resource definitions that the gateway needs, from the pinned Go modules.

They are kept as JSON in the cache, so a later start needs neither Go nor a YAML parser.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstop_lab.binaries import MODULES, cache_directory, module_version
from backstop_lab.errors import LabError
from backstop_lab.toolchain import find_go, go_environment

_FAMILY = MODULES / "contour"
# Contour watches TLSRoute, which only the experimental channel of the Gateway API has.
_SOURCES = (
    ("sigs.k8s.io/gateway-api", "config/crd/experimental/*.yaml"),
    ("github.com/projectcontour/contour", "examples/contour/01-crds.yaml"),
)


FOREIGN = (
    ("istio.io/api", "1.31.1", "kubernetes/customresourcedefinitions.gen.yaml"),
    (
        "github.com/kserve/kserve",
        "0.20.0",
        "config/crd/full/**/serving.kserve.io_inferenceservices.yaml",
    ),
    ("github.com/argoproj/argo-rollouts", "1.9.1", "manifests/crds/*.yaml"),
    ("github.com/fluxcd/flagger", "1.44.0", "artifacts/flagger/crd.yaml"),
)
"""Module, version and files of the projects that Backstop works with, for tests of its adapters."""


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
    """Return a JSON file with the definitions of `FOREIGN`, written on first use."""
    key = hashlib.sha256(repr(FOREIGN).encode()).hexdigest()[:12]
    kept = (cache_dir or cache_directory()) / f"foreign-crds-{key}.json"
    if not kept.is_file():
        go = find_go(cache_directory())
        found = [
            document
            for module, version, pattern in FOREIGN
            for document in _documents(_download(go, module, version), pattern)
        ]
        _keep(kept, found)
    return kept


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
    return _download(go, module, version)


def _download(go: Path, module: str, version: str) -> Path:
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{module}@v{version}"],
        cwd=_FAMILY,
        env=go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"Go cannot download {module} v{version}:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])
