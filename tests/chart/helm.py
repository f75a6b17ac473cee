"""The real helm, run on the chart; and what it renders, by kind."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from backstop_lab import binaries
from backstop_lab.binaries import HELM

CHART = Path(__file__).parents[2] / "charts" / "backstop"
MONITORING = ("--api-versions", "monitoring.coreos.com/v1")

Object = dict[str, Any]


class HelmError(Exception):
    """Helm refused; its text is what a person reads."""


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm with a home of its own below ``home``."""

    home: Path

    def run(self, *words: str, values: Mapping[str, Any] | None = None) -> str:
        """Run helm, and return what it printed. Raises HelmError with what it said."""
        file = self.home / "values.yaml"
        given: Sequence[str] = ()
        if values is not None:
            file.write_text(yaml.safe_dump(dict(values)))
            given = ("--values", str(file))
        program = binaries.find(HELM)
        assert program is not None, "build it first: python -m backstop_lab build helm"
        homes = {f"HELM_{one}_HOME": str(self.home) for one in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(  # noqa: S603
            [program, *words, *given],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, **homes},
        )
        if done.returncode != 0:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout

    async def running(self, *words: str, values: Mapping[str, Any] | None = None) -> str:
        """Run helm while the test's own tasks go on."""
        return await asyncio.to_thread(self.run, *words, values=values)

    def render(self, values: Mapping[str, Any] | None = None, *words: str) -> list[Object]:
        """Return the manifests of a release ``backstop`` in namespace ``ops``."""
        flags = ("backstop", str(CHART), "--namespace", "ops", "--no-hooks", *words)
        text = self.run("template", *flags, values=values or {})
        return [one for one in yaml.safe_load_all(text) if one]


def of(kind: str, manifests: list[Object]) -> list[Object]:
    """Return the manifests of a kind."""
    return [one for one in manifests if one["kind"] == kind]
