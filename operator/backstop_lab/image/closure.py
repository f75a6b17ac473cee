"""The runtime requirements: what `constraints.txt` pins, without tools of development and lab.

The closure follows the metadata of what is installed, so it is exactly what pip would install for
the package alone; `constraints-runtime.txt` holds it with the same pins and hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
ALL = ROOT / "constraints.txt"
RUNTIME = ROOT / "constraints-runtime.txt"
PACKAGE = "backstop"

_HEADER = """\
# What the package needs at run time: the part of constraints.txt that pip would install for
# `backstop` without extras. `make generate` writes it.
"""


def blocks(constraints: str) -> dict[str, str]:
    """Return the text that pins each package, with its hashes, by canonical name."""
    found: dict[str, str] = {}
    for block in re.split(r"(?m)^(?=[A-Za-z])", constraints):
        pinned = re.match(r"([A-Za-z0-9._-]+)==", block)
        if pinned is not None:
            found[canonicalize_name(pinned[1])] = block.rstrip("\n") + "\n"
    return found


def version_of(block: str) -> str:
    """Return the version that a block pins. Raises ValueError where it pins none."""
    found = re.match(r"[A-Za-z0-9._-]+==([^\s;\\]+)", block)
    if found is None:
        raise ValueError(f"no version is pinned in: {block[:60]}")
    return found[1]


def needs(name: str, extras: Iterable[str] = ()) -> list[tuple[str, frozenset[str]]]:
    """Return what an installed package requires here: names, and the extras asked of each."""
    here = {name: str(value) for name, value in default_environment().items()}
    environments = [{**here, "extra": extra} for extra in ("", *sorted(extras))]
    wanted = [Requirement(line) for line in requires(name) or ()]
    return [
        (canonicalize_name(one.name), frozenset(one.extras))
        for one in wanted
        if one.marker is None or any(one.marker.evaluate(where) for where in environments)
    ]


def graph(root: str = PACKAGE) -> dict[str, list[str]]:
    """Return each package of the closure of `root`, itself included, with what it requires."""
    found: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(canonicalize_name(root), frozenset())]
    while waiting:
        item = waiting.pop()
        if item not in seen:
            seen.add(item)
            direct = needs(*item)
            found.setdefault(item[0], set()).update(name for name, _ in direct)
            waiting += direct
    return {name: sorted(found[name]) for name in sorted(found)}


def runtime_constraints(constraints: str, names: Iterable[str]) -> str:
    """Return the part of the constraints that pins these packages, in their order.

    Raises ValueError for a package that is not pinned.
    """
    pinned: Mapping[str, str] = blocks(constraints)
    missing = sorted(set(names) - pinned.keys())
    if missing:
        raise ValueError(f"constraints.txt does not pin {', '.join(missing)}")
    wanted = set(names)
    return _HEADER + "".join(text for name, text in pinned.items() if name in wanted)


def generated() -> str:
    """Return what `constraints-runtime.txt` must hold."""
    return runtime_constraints(ALL.read_text(), graph().keys() - {PACKAGE})
