"""Packs directories as an image, in the form that `docker load` and `ctr images import` take.

The same files give the same bytes: entries are sorted, owned by root, and of one time.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backstop_lab.image.install import EPOCH

_CREATED = "1980-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a container of the image starts with."""

    entrypoint: Sequence[str]
    environment: Mapping[str, str]
    user: str
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"


@dataclass(frozen=True, slots=True)
class Packed:
    """An image that was written."""

    file: Path
    name: str
    layers: tuple[str, ...]
    """Digest of each layer, the lowest first."""
    size: int
    """Bytes of all layers, as they are unpacked."""


def write(target: Path, name: str, layers: Sequence[Path], settings: Settings) -> Packed:
    """Write an image named `name` (with its tag) of one layer per tar file."""
    contents = [layer.read_bytes() for layer in layers]
    digests = tuple(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents)
    config = json.dumps(_config(settings, digests), sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    names = [f"{digest.removeprefix('sha256:')}.tar" for digest in digests]
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
    with tarfile.open(target, "w") as archive:
        _add(archive, config_name, config)
        for layer, content in zip(names, contents, strict=True):
            _add(archive, layer, content)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return Packed(target, name, digests, sum(map(len, contents)))


def write_layer(target: Path, root: Path) -> Path:
    """Write everything below `root` as one layer and return `target`."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as layer:
        for place in sorted(root.rglob("*")):
            entry = layer.gettarinfo(place, str(place.relative_to(root)))
            _settle(entry)
            if entry.isreg():
                with place.open("rb") as content:
                    layer.addfile(entry, content)
            else:
                layer.addfile(entry)
    return target


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    _settle(entry)
    archive.addfile(entry, io.BytesIO(content))


def _settle(entry: tarfile.TarInfo) -> None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH


def _config(settings: Settings, layers: Sequence[str]) -> dict[str, object]:
    return {
        "architecture": settings.architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {
            "Entrypoint": list(settings.entrypoint),
            "Env": [f"{name}={value}" for name, value in sorted(settings.environment.items())],
            "User": settings.user,
            "WorkingDir": "/",
            "Labels": dict(settings.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": list(layers)},
        "history": [{"created": _CREATED, "created_by": "backstop_lab.image"} for _ in layers],
    }
