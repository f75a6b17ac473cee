"""The objects of a fake API and the rules by which the real one changes them.

Every write gets a new resourceVersion, a stale one is refused, /status and the rest are written
apart, a change of the spec raises the generation, and finalizers hold a deletion back.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jsonpatch

Json = dict[str, Any]


class RefusedError(Exception):
    """The API server says no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True)
class Place:
    """A path taken apart: the collection, and perhaps the object in it and its subresource."""

    collection: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of(cls, path: str) -> "Place":
        """Take ``/apis/group/v1/namespaces/ns/plural/name/status`` apart, or a part of it."""
        parts = path.strip("/").split("/")
        head = 2 if parts[0] == "api" else 3
        root, rest = parts[:head], parts[head:]
        namespace = ""
        if not rest:  # what an API group has is not known here
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "")[:3]
        return cls("/".join([*root, plural]), namespace, name, subresource)


@dataclass
class Store:
    """All objects, by collection, namespace and name."""

    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1000))

    def listing(self, place: Place) -> list[Json]:
        return [
            body
            for (collection, namespace, _), body in sorted(self.objects.items())
            if collection == place.collection and place.namespace in {"", namespace}
        ]

    def get(self, place: Place) -> Json:
        try:
            return self.objects[place.collection, place.namespace, place.name]
        except KeyError:
            message = f'{place.collection.split("/")[-1]} "{place.name}" not found'
            raise RefusedError(404, "NotFound", message) from None

    def create(self, place: Place, body: Json) -> Json:
        if "metadata" not in body:  # a review is answered, not stored
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        name = body["metadata"]["name"]
        key = (place.collection, place.namespace, name)
        if key in self.objects:
            raise RefusedError(409, "AlreadyExists", f'"{name}" already exists')
        body = copy.deepcopy(body)
        number = next(self.counter)
        body["metadata"] |= {
            "uid": f"uid-{number}",
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "generation": 1,
            "resourceVersion": str(number),
        }
        if place.namespace:
            body["metadata"]["namespace"] = place.namespace
        self.objects[key] = body
        return body

    def json_patch(self, place: Place, operations: list[Json]) -> Json:
        old = self.get(place)
        try:
            new = jsonpatch.apply_patch(copy.deepcopy(old), operations)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            message = "the server rejected our request due to an error in our request"
            raise RefusedError(422, "Invalid", message) from None
        return self._replace(place, old, new)

    def merge_patch(self, place: Place, patch: Json) -> Json:
        old = self.get(place)
        return self._replace(place, old, _merged(old, patch))

    def delete(self, place: Place, uid: str = "") -> Json:
        body = self.get(place)
        if uid and body["metadata"]["uid"] != uid:
            message = f'"{place.name}": the UID in the precondition does not match'
            raise RefusedError(409, "Conflict", message)
        if body["metadata"].get("finalizers"):
            body["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            body["metadata"]["resourceVersion"] = str(next(self.counter))
            return body
        del self.objects[place.collection, place.namespace, place.name]
        return body

    def _replace(self, place: Place, old: Json, new: Json) -> Json:
        version = old["metadata"]["resourceVersion"]
        if new["metadata"].get("resourceVersion", version) != version:
            message = f'"{place.name}": the object has been modified'
            raise RefusedError(409, "Conflict", message)
        if place.subresource == "status":
            written = copy.deepcopy(old) | {"status": new.get("status", {})}
        else:
            written = copy.deepcopy(new)
            _keep(old, written, "status")
            for fixed in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
                _keep(old["metadata"], written["metadata"], fixed)
        if written == old:
            return old
        written["metadata"]["generation"] += written.get("spec") != old.get("spec")
        written["metadata"]["resourceVersion"] = str(next(self.counter))
        key = (place.collection, place.namespace, place.name)
        self.objects[key] = written
        if "deletionTimestamp" in written["metadata"] and not written["metadata"].get("finalizers"):
            del self.objects[key]
        return written


def _keep(old: Json, new: Json, name: str) -> None:
    new.pop(name, None)
    if name in old:
        new[name] = copy.deepcopy(old[name])


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
