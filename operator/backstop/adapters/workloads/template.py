"""What a pod template tells, whichever workload it stands in."""

from collections.abc import Iterator, Mapping
from typing import Any

from backstop.core.facts import ObjectRef


def configuration(namespace: str, template: Mapping[str, Any]) -> tuple[ObjectRef, ...]:
    """Return the ConfigMaps and Secrets that pods of ``template`` read, in order of appearance."""
    found = (ObjectRef(kind, namespace, name) for kind, name in _references(template))
    return tuple(dict.fromkeys(found))


def _references(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec = template.get("spec") or {}
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_volume(source)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for source in container.get("envFrom") or ():
            yield from _named(source, "configMapRef", "secretRef")
        for variable in container.get("env") or ():
            yield from _named(variable.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")


def _of_volume(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _named(source, "configMap", "secret")
    secret = (source.get("secret") or {}).get("secretName")
    if secret:
        yield "Secret", secret


def _named(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[tuple[str, str]]:
    for field, kind in ((config_map, "ConfigMap"), (secret, "Secret")):
        name = (source.get(field) or {}).get("name")
        if name:
            yield kind, name
