"""The pages that people read, taken apart: their YAML blocks, what these are, and their links.

A YAML block is an object (it has a kind), a list of signals, or a part of something, which
a comment on the line before it names: `<!-- yaml: spec -->`. The names are those of `Part`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from tests.api.specs import signal_monitor

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
OURS = "backstop.dev/"

_BLOCK = re.compile(r"(?:<!-- yaml: ([a-z ]+) -->\n)?```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_EXPLICIT = re.compile(r'<a (?:id|name)="([^"]+)"')


class Part(StrEnum):
    """What a block is that is no object."""

    SIGNALS = "signals"
    SPEC = "spec"
    """Fields of a ModelMonitor's spec."""
    CONFIGURATION = "configuration"
    """The operator's configuration file."""
    VALUES = "helm values"
    FAULTS = "known faults"
    """The file of `backstop backtest --known`."""
    FOREIGN = "of another tool"
    """Settings of a program that the lab does not run; they must be YAML, and no more is tested."""


@dataclass(frozen=True, slots=True)
class Block:
    """A YAML block or an example: where it stands, and what it is."""

    file: Path
    line: int
    text: str
    part: Part | None = None

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    @property
    def documents(self) -> list[Any]:
        """The YAML documents."""
        return [one for one in yaml.safe_load_all(self.text) if one is not None]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The Kubernetes objects in it; signals and parts of a spec get a monitor around them."""
        if self.part is Part.SIGNALS:
            return [signal_monitor(one) for one in self.documents]
        if self.part is Part.SPEC:
            return [_around(one) for one in self.documents]
        return self.documents if self.part is None else []


def _around(fields: dict[str, Any]) -> dict[str, Any]:
    whole = signal_monitor([{"name": "errors", "threshold": {"errors": {}, "max": "5%"}}])
    return {**whole, "spec": whole["spec"] | fields.get("spec", fields)}


def blocks() -> Iterator[Block]:
    """Yield all YAML blocks of all pages.

    Raises:
        ValueError: a block is no object, no list of signals, and no comment says what it is.
    """
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield _block(page, line, found[1], found[2])


def _block(page: Path, line: int, named: str | None, text: str) -> Block:
    if named is not None:
        return Block(page, line, text, Part(named))
    documents = list(yaml.safe_load_all(text))
    if all(isinstance(one, dict) and {"apiVersion", "kind"} <= one.keys() for one in documents):
        return Block(page, line, text)
    if all(isinstance(one, list) for one in documents):
        return Block(page, line, text, Part.SIGNALS)
    wanted = ", ".join(Part)
    raise ValueError(
        f"{page.relative_to(ROOT)}:{line}: say what the block is, by `<!-- yaml: ... -->` on the"
        f" line before it: {wanted}"
    )


def examples() -> list[Block]:
    """Return the files in examples/."""
    return [Block(file, 1, file.read_text(encoding="utf-8")) for file in EXAMPLES]


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor that each relative link of a page leads to."""
    found = [
        one for one in _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))) if "://" not in one
    ]
    parts = [one.partition("#") for one in found if not one.startswith("mailto:")]
    return [((page.parent / path).resolve() if path else page, at) for path, _, at in parts]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text, known = prose(page), dict[str, int]()
    made = set(_EXPLICIT.findall(text))
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = known[name] = known.get(name, -1) + 1
        made.add(f"{name}-{number}" if number else name)
    return made
