"""The environment and the command line of a container, as a kubelet would make them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from backstop_lab.kube_api import ApiError, KubeApi, Object
from backstop_lab.pod_fields import ConfigError, field
from backstop_lab.volumes import decode_secret

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` where NAME is known; `$$` stands for one `$`; all else stays as it is."""

    def replacement(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "$"
        return values.get(name, found[0])

    return _REFERENCE.sub(replacement, text)


def service_variables(services: Iterable[Object], namespace: str) -> dict[str, str]:
    """Return `<NAME>_SERVICE_HOST` and `_PORT` for the namespace's Services and the API."""
    variables: dict[str, str] = {}
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        is_api = (metadata["namespace"], metadata["name"]) == ("default", "kubernetes")
        address = spec.get("clusterIP", "None")
        if address in ("", "None") or not (is_api or metadata["namespace"] == namespace):
            continue
        prefix = metadata["name"].upper().replace("-", "_") + "_SERVICE"
        variables[f"{prefix}_HOST"] = address
        for position, port in enumerate(spec.get("ports", ())):
            if position == 0:
                variables[f"{prefix}_PORT"] = str(port["port"])
            if port.get("name"):
                suffix = port["name"].upper().replace("-", "_")
                variables[f"{prefix}_PORT_{suffix}"] = str(port["port"])
    return variables


async def container_environment(
    container: Object, pod: Object, api: KubeApi, base: Mapping[str, str]
) -> dict[str, str]:
    """Return the container's whole environment; `base` is overridden by what the pod declares.

    Raises ConfigError where a required reference is missing.
    """
    values = dict(base)
    namespace = pod["metadata"]["namespace"]
    for source in container.get("envFrom", ()):
        prefix = source.get("prefix", "")
        for kind in ("configMapRef", "secretRef"):
            if kind in source:
                data = await _data(api, namespace, kind, source[kind])
                values.update({prefix + name: value for name, value in data.items()})
    for entry in container.get("env", ()):
        value = await _value(entry, pod, api, values)
        if value is not None:
            values[entry["name"]] = value
    return values


ENTRY_POINTS: Mapping[str, Sequence[str]] = {"backstop": ("python", "-m", "backstop")}
"""Commands of containers that have none, by the name of their image without path and tag."""


def command_line(container: Object, values: Mapping[str, str]) -> list[str]:
    """Return command and args with `$(NAME)` replaced.

    There are no images in the lab, so only those of `ENTRY_POINTS` can stand in for a command.

    Raises ConfigError without a command.
    """
    image = container.get("image", "").rpartition("/")[2].partition("@")[0].partition(":")[0]
    command = container.get("command") or ENTRY_POINTS.get(image)
    if not command:
        raise ConfigError(f"container {container['name']} needs a command: the lab has no images")
    words: Sequence[str] = [*command, *container.get("args", ())]
    return [expand(word, values) for word in words]


async def _value(entry: Object, pod: Object, api: KubeApi, known: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value", ""), known)
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            reference = source[kind]
            data = await _data(api, pod["metadata"]["namespace"], kind, reference)
            if reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            raise ConfigError(f"{reference['name']} has no key {reference['key']}")
    raise ConfigError(f"the lab does not know the source of variable {entry['name']}")


async def _data(api: KubeApi, namespace: str, kind: str, reference: Object) -> dict[str, str]:
    is_secret = kind.startswith("secret")
    plural = "secrets" if is_secret else "configmaps"
    path = f"/api/v1/namespaces/{namespace}/{plural}/{reference['name']}"
    try:
        found = await api.get(path)
    except ApiError as error:
        if error.status == 404 and reference.get("optional"):
            return {}
        raise ConfigError(f"{plural} {reference['name']}: {error}") from error
    data: dict[str, str] = found.get("data") or {}
    if is_secret:
        return {name: decode_secret(value).decode() for name, value in data.items()}
    return data
