"""The demo's manifests: ordinary files, of which only the image depends on the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_DIRECTORY = Path(__file__).with_name("manifests")
PLACEHOLDER_IMAGE = "backstop-lab"
"""The image as the files name it. The lab runs commands as local processes and ignores it."""


def load(image: str = PLACEHOLDER_IMAGE) -> list[dict[str, Any]]:
    """Return all objects in the order of the files, with `image` for the placeholder."""
    objects: list[dict[str, Any]] = []
    for path in sorted(_DIRECTORY.glob("*.yaml")):
        objects.extend(yaml.safe_load_all(path.read_text()))
    for item in objects:
        for container in _containers(item):
            if container["image"] == PLACEHOLDER_IMAGE:
                container["image"] = image
    return objects


def _containers(item: dict[str, Any]) -> list[dict[str, Any]]:
    template = item.get("spec", {}).get("template", {})
    found: list[dict[str, Any]] = template.get("spec", {}).get("containers", [])
    return found
