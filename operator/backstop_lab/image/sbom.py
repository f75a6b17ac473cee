"""The bill of materials of a release, as CycloneDX: what the package and its requirements are.

Made from the pins and from the metadata of what is installed. It holds neither a time nor a random
number, so the same release has the same bill, byte for byte.
"""

from __future__ import annotations

import json
import uuid
from importlib.metadata import metadata
from typing import Any

from backstop_lab.image import closure, wheel

_SPACE = uuid.UUID("6f0b7a52-6f5c-5b0e-9d3a-0c1d0f2f7a11")
_LICENSE_PREFIX = "License :: OSI Approved :: "


def document() -> str:
    """Return the bill as JSON. Raises ValueError for a requirement that is not pinned."""
    graph = closure.graph()
    pins = closure.blocks(closure.RUNTIME.read_text())
    versions = {
        name: wheel.version() if name == closure.PACKAGE else closure.version_of(pins[name])
        for name in graph
    }
    parts = {name: _component(name, version) for name, version in versions.items()}
    own = {**parts.pop(closure.PACKAGE), "type": "application"}
    references = {name: _reference(name, version) for name, version in versions.items()}
    bill: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": list(parts.values()),
        "dependencies": [
            {"ref": references[name], "dependsOn": [references[one] for one in needed]}
            for name, needed in graph.items()
        ],
    }
    content = json.dumps(bill, sort_keys=True)
    return json.dumps({**bill, "serialNumber": uuid.uuid5(_SPACE, content).urn}, indent=2) + "\n"


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _component(name: str, version: str) -> dict[str, Any]:
    reference = _reference(name, version)
    made = {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
    }
    return {**made, "licenses": licenses} if (licenses := _licenses(name)) else made


def _licenses(name: str) -> list[dict[str, Any]]:
    """Return what the metadata says: an expression, else the names of classifiers, else a text."""
    told = metadata(name)
    if "License-Expression" in told:
        return [{"expression": told["License-Expression"]}]
    classified = [
        one.removeprefix(_LICENSE_PREFIX)
        for one in told.get_all("Classifier") or ()
        if one.startswith(_LICENSE_PREFIX)
    ]
    text = (told.get_all("License") or [""])[0].strip().splitlines()
    return [{"license": {"name": one}} for one in classified or text[:1]]
