"""Builds the wheel from a copy of the sources, so that neither leftovers nor times get into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from backstop_lab.errors import LabError
from backstop_lab.image.closure import ROOT
from backstop_lab.image.install import EPOCH

_SOURCES = ("pyproject.toml", "README.md", "LICENSE")


def version() -> str:
    """Return the version, from the one place where it is written."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: str = project["project"]["version"]
    return found


def build(directory: Path) -> Path:
    """Build the wheel into `directory` and return its path. Raises LabError."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        for name in _SOURCES:
            shutil.copy(ROOT / name, source)
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        package = source / "operator" / "backstop"
        shutil.copytree(ROOT / "operator" / "backstop", package, ignore=ignored)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--no-build-isolation", "--wheel-dir", str(directory), str(source)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise LabError(f"The wheel could not be built:\n{done.stderr.strip()}")
    return directory / f"backstop-{version()}-py3-none-any.whl"
