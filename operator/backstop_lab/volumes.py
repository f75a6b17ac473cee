"""Materialises a pod's volumes as directories and mounts them where its containers expect them.

The mounts are made in a mount namespace of the container's own, so they neither need privileges
nor show elsewhere. A mount path that does not exist on this machine is made in a directory that
covers the existing one or, below the root itself, in a root of bind mounts. Contents are those at
the pod's start; later changes of a ConfigMap or Secret do not arrive.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backstop_lab.kube_api import ApiError, KubeApi, Object
from backstop_lab.pod_fields import ConfigError, field

_TOKEN_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Mount:
    """Shows `source` at `target` inside of the container."""

    source: Path
    target: Path
    read_only: bool = False


def decode_secret(value: str) -> bytes:
    """Return the bytes of one entry of a Secret's `data`."""
    return base64.b64decode(value)


async def materialise(api: KubeApi, pod: Object, directory: Path) -> dict[str, Path]:
    """Create the pod's volumes below `directory` and return their paths by volume name.

    Raises ConfigError for a missing object or an unknown kind.
    """
    paths: dict[str, Path] = {}
    for volume in pod["spec"].get("volumes", ()):
        name = volume["name"]
        if "hostPath" in volume:
            paths[name] = Path(volume["hostPath"]["path"])
            continue
        paths[name] = directory / name
        paths[name].mkdir(parents=True, exist_ok=True)
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            for file, content in (await _files(api, pod, source)).items():
                target = paths[name] / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return paths


def container_mounts(container: Object, volumes: dict[str, Path]) -> list[Mount]:
    """Return the mounts that a container asks for."""
    return [
        Mount(
            volumes[mount["name"]] / mount.get("subPath", ""),
            Path(mount["mountPath"]),
            bool(mount.get("readOnly", False)),
        )
        for mount in container.get("volumeMounts", ())
    ]


def wrap(command: Sequence[str], mounts: Iterable[Mount], scratch: Path) -> list[str]:
    """Return a command line that runs `command` with the mounts in place."""
    script = mount_script(mounts, scratch)
    if not script:
        return list(command)
    whole = "\n".join(["set -e", *script])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", whole, "sh", *command]


def mount_script(mounts: Iterable[Mount], scratch: Path) -> list[str]:
    """Return the shell lines that make the mounts and then run the positional parameters."""
    wanted = [Mount(mount.source, _resolved(mount.target), mount.read_only) for mount in mounts]
    if not wanted:
        return []
    ancestors = {mount.target: _existing_ancestor(mount.target) for mount in wanted}
    lines: list[str] = []
    for number, ancestor in enumerate(sorted(set(ancestors.values()) - {Path("/")})):
        if ancestor not in ancestors:
            lines += _extensible(ancestor, scratch / f"view-{number}")
    for mount in wanted:
        lines += _bind(mount)
    lines.append('exec "$@"')
    if Path("/") not in ancestors.values():
        return lines
    root = scratch / "root"
    inside = shlex.quote("\n".join(["set -e", 'cd "$0"', *lines]))
    return [
        *_assembled_root(root),
        f'exec chroot {shlex.quote(str(root))} sh -c {inside} "$PWD" "$@"',
    ]


def _bind(mount: Mount) -> list[str]:
    source, place = shlex.quote(str(mount.source)), shlex.quote(str(mount.target))
    make = f"mkdir -p {place}"
    if mount.source.is_file():
        make = f"mkdir -p {shlex.quote(str(mount.target.parent))}; touch {place}"
    lines = [f"[ -e {place} ] || {{ {make}; }}", f"mount --bind {source} {place}"]
    if mount.read_only:
        lines.append(f"mount -o remount,bind,ro {place}")
    return lines


def _extensible(directory: Path, scratch: Path) -> list[str]:
    """Cover a directory with one of links to its entries, where new entries can be made.

    An overlay would be simpler, but the kernel refuses it where something below is a mount of an
    outer namespace, as /etc/hosts is in any container.
    """
    original, view = shlex.quote(str(scratch / "original")), shlex.quote(str(scratch / "view"))
    place = shlex.quote(str(directory))
    entries = f"find {original} -mindepth 1 -maxdepth 1"
    return [
        f"rm -rf {view}; mkdir -p {original} {view}",
        f"mount --rbind {place} {original}",
        f"{entries} -type l -exec cp -P -t {view} {{}} +",  # may be relative to its place
        f"{entries} ! -type l -exec ln -s -t {view} {{}} +",
        f"mount --bind {view} {place}",
    ]


def _assembled_root(root: Path) -> list[str]:
    """Rebuild `/` below `root` from bind mounts, so that new directories can be made in it."""
    lines = [f"mkdir -p {shlex.quote(str(root))}"]
    for entry in sorted(Path("/").iterdir()):
        source, place = shlex.quote(str(entry)), shlex.quote(str(root / entry.name))
        if entry.is_symlink():
            lines.append(f"ln -sfn {shlex.quote(str(entry.readlink()))} {place}")
        elif entry.is_dir():
            lines.append(f"mkdir -p {place}; mount --rbind {source} {place}")
    return lines


def _resolved(path: Path) -> Path:
    """Follow the symbolic links of the part that exists (/var/run is a link to /run)."""
    return path.resolve()


def _existing_ancestor(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


async def _files(api: KubeApi, pod: Object, source: Object) -> dict[str, bytes]:
    namespace = pod["metadata"]["namespace"]
    if "configMap" in source:
        reference = source["configMap"]
        found = await _fetch(api, namespace, "configmaps", reference["name"], reference)
        text = {name: value.encode() for name, value in (found.get("data") or {}).items()}
        return _selected(text, reference.get("items"))
    if "secret" in source:
        reference = source["secret"]
        name = reference.get("secretName") or reference["name"]
        found = await _fetch(api, namespace, "secrets", name, reference)
        data = {key: decode_secret(value) for key, value in (found.get("data") or {}).items()}
        return _selected(data, reference.get("items"))
    if "serviceAccountToken" in source:
        return await _token(api, pod, source["serviceAccountToken"])
    if "downwardAPI" in source:
        items = source["downwardAPI"].get("items", ())
        return {i["path"]: field(pod, i["fieldRef"]["fieldPath"]).encode() for i in items}
    if "emptyDir" in source:
        return {}
    kinds = ", ".join(key for key in source if key != "name")
    raise ConfigError(f"the lab does not know volumes of kind {kinds}")


async def _token(api: KubeApi, pod: Object, reference: Object) -> dict[str, bytes]:
    metadata = pod["metadata"]
    account = pod["spec"].get("serviceAccountName", "default")
    path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    spec: Object = {"expirationSeconds": _TOKEN_SECONDS, "boundObjectRef": bound}
    if reference.get("audience"):
        spec["audiences"] = [reference["audience"]]
    answer = await api.create(path, {"spec": spec})
    return {reference["path"]: answer["status"]["token"].encode()}


async def _fetch(api: KubeApi, namespace: str, plural: str, name: str, reference: Object) -> Object:
    try:
        return await api.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
    except ApiError as error:
        if error.status == 404 and reference.get("optional"):
            return {}
        raise ConfigError(f"{plural} {name}: {error}") from error


def _selected(content: dict[str, bytes], items: list[Object] | None) -> dict[str, bytes]:
    if not items:
        return content
    return {item["path"]: content[item["key"]] for item in items if item["key"] in content}
