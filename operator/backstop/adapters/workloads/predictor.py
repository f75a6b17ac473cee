"""What of an InferenceService is a revision, and what of an earlier one can be put back.

KServe keeps no earlier spec. What is left of one is the pod template that KServe made of it, in a
ReplicaSet (Standard mode) or a Knative Revision. From there the model's ``storageUri`` can be read,
its ``runtimeVersion`` and ``image`` where the spec sets them, and the image of a custom predictor.
Resources, arguments, the choice of a runtime, transformer and explainer cannot, since a template
does not tell which of its fields came from the spec and which from the ServingRuntime.

Guarantees: fingerprints are of the whole spec, without sizes, traffic and restarts. So an earlier
revision has the fingerprint that it had when it ran only where it can be put back completely.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.revisions import Entry
from backstop.adapters.workloads.template import RESTARTED_BY, template_fingerprint

_SOURCE_URI: Final = "internal.serving.kserve.io/storage-initializer-sourceuri"
_INITIALIZER: Final = "storage-initializer"
_SERVER: Final = "kserve-container"
_OPTIONAL: Final = ("runtimeVersion", "image")
"""Fields of a model that are put back where the spec sets them."""

_MARKS: Final = frozenset({ACTION_ID, RESTARTED_BY, "kubectl.kubernetes.io/restartedAt"})
_OWN: Final = frozenset(
    {
        "name",
        "canaryTrafficPercent",
        "minReplicas",
        "maxReplicas",
        "scaleTarget",
        "scaleMetric",
        "scaleMetricType",
        "autoScaling",
        "deploymentStrategy",
    }
)
"""Fields of a component that are no part of a revision: its name, traffic and size."""
_KEPT: Final = _OWN | {"labels", "annotations"}
"""Fields of a predictor that stay when it takes over the version of another one."""

Json = dict[str, Any]
Place = tuple[str | int, ...]
"""Where in a predictor a value stands."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier pod template, and what it takes to run it again.

    ``values`` is what to write into the predictor, empty where the template does not tell;
    ``spec_fingerprint`` is that of the spec with them written. ``complete`` says that nothing else
    of the template differs from the present one. ``fingerprint`` is what the revision goes by.
    """

    number: int
    created: datetime
    values: Mapping[Place, str]
    spec_fingerprint: str
    complete: bool
    fingerprint: str


def predictor(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the predictor that an InferenceService asks for."""
    found: Mapping[str, Any] = body["spec"].get("predictor") or {}
    return found


def marked_by(body: Mapping[str, Any]) -> str:
    """Return the id of the last action of ours on the predictor, empty where there was none."""
    return str((predictor(body).get("annotations") or {}).get(ACTION_ID, ""))


def fingerprint(body: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that are equal for equal revisions."""
    spec = body["spec"]
    known = ("predictor", "transformer", "explainer")
    return template_fingerprint({one: _bare(spec[one]) for one in known if spec.get(one)})


def _bare(component: Mapping[str, Any]) -> Json:
    bare = {name: value for name, value in component.items() if name not in _OWN}
    annotations = _unmarked(bare.pop("annotations", None) or {})
    return bare | ({"annotations": annotations} if annotations else {})


def _unmarked(annotations: Mapping[str, Any]) -> Json:
    return {name: value for name, value in annotations.items() if name not in _MARKS}


def restorable(body: Mapping[str, Any]) -> dict[Place, str]:
    """Return the values of the predictor that a pod template tells too, by their place."""
    found: dict[Place, str] = {}
    for name, value in predictor(body).items():
        if isinstance(value, dict) and value.get("storageUri"):
            names = ["storageUri", *(one for one in _OPTIONAL if value.get(one))]
            found |= {(name, one): str(value[one]) for one in names}
    containers = predictor(body).get("containers") or ()
    if not found and containers:
        place = _server(containers)
        if containers[place].get("image"):
            found["containers", place, "image"] = str(containers[place]["image"])
    return found


def _server(containers: Sequence[Mapping[str, Any]]) -> int:
    """Return which container serves the model, as KServe chooses it."""
    names = [one.get("name") for one in containers]
    return names.index(_SERVER) if _SERVER in names else 0


def _told(values: Iterable[Place], template: Mapping[str, Any]) -> dict[Place, str]:
    """Return what pods of ``template`` have for each of ``values``, as far as it can be told."""
    containers = template["spec"]["containers"]
    image = str(containers[_server(containers)].get("image", ""))
    known = {
        "storageUri": _source_uri(template),
        "image": image,
        "runtimeVersion": image.rpartition("/")[2].partition(":")[2],
    }
    told = {place: known[str(place[-1])] for place in values}
    return {place: value for place, value in told.items() if value}


def _source_uri(template: Mapping[str, Any]) -> str:
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if _SOURCE_URI in annotations:
        return str(annotations[_SOURCE_URI])
    for one in template["spec"].get("initContainers") or ():
        if one.get("name") == _INITIALIZER and one.get("args"):
            return str(one["args"][0])
    return ""


def is_made(body: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Return whether KServe made ``template`` of the predictor as it is now, as far as it tells."""
    wanted = restorable(body)
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return annotations.get(ACTION_ID, "") == marked_by(body) and all(
        value == wanted[place] for place, value in _told(wanted, template).items()
    )


def past(body: Mapping[str, Any], entries: Sequence[Entry]) -> tuple[Past, ...]:
    """Return what ``entries`` keep of the past of an InferenceService, newest first."""
    ordered = sorted(entries, key=lambda one: one.number, reverse=True)
    wanted = restorable(body)
    found = []
    for one in ordered:
        told = _told(wanted, one.template)
        values = told if told.keys() == wanted.keys() else {}
        then = fingerprint(_with(body, values)) if values else ""
        complete = bool(values) and _rest(wanted, one.template) == _rest(
            wanted, ordered[0].template
        )
        mine = then if complete else template_fingerprint(one.template)
        found.append(Past(one.number, one.created, values, then, complete, mine))
    return tuple(found)


def _with(body: Mapping[str, Any], values: Mapping[Place, str]) -> Json:
    changed: Json = copy.deepcopy({"spec": body["spec"]})
    for place, value in values.items():
        at: Any = changed["spec"]["predictor"]
        for one in place[:-1]:
            at = at[one]
        at[place[-1]] = value
    return changed


def _rest(wanted: Iterable[Place], template: Mapping[str, Any]) -> Json:
    """Return a template without marks and without what can be put back."""
    rest: Json = copy.deepcopy(dict(template))
    metadata = rest.get("metadata") or {}
    annotations = _unmarked(metadata.get("annotations") or {})
    annotations.pop(_SOURCE_URI, None)
    rest["metadata"] = {**metadata, "annotations": annotations}
    rest["spec"]["initContainers"] = [
        one for one in rest["spec"].get("initContainers") or () if one.get("name") != _INITIALIZER
    ]
    if {place[-1] for place in wanted} & {"image", "runtimeVersion"}:
        containers = rest["spec"]["containers"]
        containers[_server(containers)].pop("image", None)
    return rest


def taken_over(body: Mapping[str, Any], source: Mapping[str, Any]) -> list[Json]:
    """Return the JSON patch that gives ``body`` the predictor of ``source``.

    Name, labels, annotations, traffic and size stay its own.
    """
    own, other = predictor(body), predictor(source)
    wanted = {name: value for name, value in other.items() if name not in _KEPT}
    gone = own.keys() - wanted.keys() - _KEPT
    root = "/spec/predictor"
    return [
        *({"op": "remove", "path": f"{root}/{name}"} for name in sorted(gone)),
        *({"op": "add", "path": f"{root}/{one}", "value": value} for one, value in wanted.items()),
    ]


def without_knative(metadata: Mapping[str, Any]) -> Json:
    """Return labels and annotations of a Knative Revision without those that Knative adds."""
    return {
        kind: {
            name: value
            for name, value in (metadata.get(kind) or {}).items()
            if "knative.dev/" not in name
        }
        for kind in ("labels", "annotations")
    }
