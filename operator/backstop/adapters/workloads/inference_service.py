"""InferenceServices of KServe as workloads: what they serve, and how to serve what they did before.

KServe keeps no past spec. What it served can be read from the ReplicaSets of the Deployment that it
makes in Standard mode, and that much can be restored: the model's ``storageUri``, with its
``runtimeVersion`` and ``image`` where the spec sets them, or the image of a custom predictor. This
is the version, and fingerprints are of the version alone: a change of resources, arguments,
transformer or explainer makes no new revision here, and none of it is rolled back.

Guarantees: a change notes the action id beside what it changes, in one request that the API server
refuses when the InferenceService changed since it was read; no other field changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads import deployment, revisions
from backstop.adapters.workloads.mark import (
    Operation,
    json_patch,
    last_action,
    merge_patch,
    require_unchanged,
)
from backstop.adapters.workloads.owned import controller, owned
from backstop.adapters.workloads.revisions import Entry
from backstop.adapters.workloads.template import RESTARTED_BY, images, template_fingerprint
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import ConflictError, KubeApi, NotFoundError, UnsupportedError

_GROUP_VERSION: Final = "serving.kserve.io/v1beta1"
_SOURCE_URI: Final = "internal.serving.kserve.io/storage-initializer-sourceuri"
_INITIALIZER: Final = "storage-initializer"
_SERVER: Final = "kserve-container"
_OPTIONAL: Final = ("runtimeVersion", "image")
"""Fields of a model that are part of the version where the spec sets them."""

Json = dict[str, Any]


class InferenceServiceWorkload:
    """Implements :class:`backstop.ports.Workload` for ``serving.kserve.io/v1beta1``.

    In Standard mode pods and past versions are those of Deployment ``<name>-predictor``; in other
    modes what runs is told, and what ran before is unknown.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the InferenceService and its pods as the controllers last reported them."""
        return await self._facts(await self._api.get(_path(ref)))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the versions that still have a ReplicaSet, newest first; none without one."""
        return revisions.revision_facts(await self._history(await self._api.get(_path(ref))))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Write the version with ``fingerprint`` into the predictor, and nothing else."""
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        _require_version(facts.ref, body)
        entries = await self._history(body)
        if not entries:
            raise UnsupportedError(
                f"no earlier version of {facts.ref} can be read: KServe keeps none, and there is no"
                f" Deployment {_predictor(facts.ref.name)} with ReplicaSets; use Standard mode, or"
                " move traffic back by canaryTrafficPercent"
            )
        chosen = revisions.newest(entries, facts.ref, fingerprint)
        return await self._patch(body, action_id, *_restored(body, chosen.template))

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all predictor pods, by an annotation that KServe copies to them."""
        if facts.last_action == action_id:
            return facts
        spec = {"predictor": {"annotations": {RESTARTED_BY: action_id}}}
        patch = merge_patch(facts, action_id, spec)
        return await self._facts(await self._api.merge_patch(_path(facts.ref), patch))

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Refuse: KServe cannot hold an update where it is."""
        raise UnsupportedError(
            f"{facts.ref} cannot be paused ({action_id}): KServe finishes every update; take"
            " pauseRollout out of the runbook, or roll back instead"
        )

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Take over the model, or the containers, of the predictor of another InferenceService."""
        if facts.last_action == action_id:
            return facts
        if source.ref.kind != "InferenceService":
            raise UnsupportedError(
                f"{facts.ref} cannot take over the version of {source.ref}: use an InferenceService"
                " as candidate"
            )
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        other = await self._api.get(_path(source.ref))
        _require_version(source.ref, other)
        if _fingerprint(other) != source.fingerprint:
            raise ConflictError(f"the predictor of {source.ref} changed since it was read")
        return await self._patch(body, action_id, *_taken_over(body, other))

    async def _patch(self, body: Json, action_id: str, *changes: Operation) -> WorkloadFacts:
        metadata = body["metadata"]
        patch = json_patch(metadata, action_id, *changes)
        return await self._facts(await self._api.json_patch(_path(_ref(metadata)), patch))

    async def _facts(self, body: Json) -> WorkloadFacts:
        return workload_facts(body, await self._deployment(body))

    async def _deployment(self, body: Json) -> Json | None:
        """Return the Deployment of the predictor, if there is one that is its own."""
        metadata = body["metadata"]
        name = _predictor(metadata["name"])
        path = namespaced("apps/v1", metadata["namespace"], "deployments", name)
        try:
            found = await self._api.get(path)
        except NotFoundError:
            return None
        return found if controller(found).get("uid") == metadata["uid"] else None

    async def _history(self, body: Json) -> tuple[Entry, ...]:
        made = await self._deployment(body)
        if made is None:
            return ()
        found = deployment.history(await owned(self._api, made, "apps/v1", "replicasets"))
        versions = ((one, _served(body, one.template)) for one in found)
        return tuple(replace(one, template=version) for one, version in versions if version)


def workload_facts(body: Mapping[str, Any], made: Mapping[str, Any] | None) -> WorkloadFacts:
    """Return what an InferenceService says, and the Deployment ``made`` of its predictor.

    Without one the status counts no pods: all are taken for ready once it is.
    """
    metadata = body["metadata"]
    facts = WorkloadFacts(
        ref=_ref(metadata),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        fingerprint=_fingerprint(body),
        desired=(desired := max(1, _predictor_spec(body).get("minReplicas") or 1)),
        ready=desired if _condition(body, "Ready") == "True" else 0,
        rolled_out=_rolled_out(body),
        changed=_when_ready(body),
        last_action=last_action(metadata),
        images=images({"spec": _predictor_spec(body)}),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )
    if made is None:
        return facts
    pods = deployment.workload_facts(made)
    return replace(
        facts,
        desired=pods.desired,
        ready=pods.ready,
        rolled_out=facts.rolled_out and pods.rolled_out,
        changed=pods.changed,
        images=pods.images,
        configuration=pods.configuration,
    )


def _version(body: Mapping[str, Any]) -> Json | None:
    """Return what of the predictor can be restored, ``None`` where it has another form."""
    predictor = _predictor_spec(body)
    model, containers = predictor.get("model"), predictor.get("containers")
    if model is not None:
        names = ["storageUri", *(name for name in _OPTIONAL if model.get(name))]
        return {name: model.get(name) for name in names} if model.get("storageUri") else None
    return {"image": containers[0]["image"]} if containers and "image" in containers[0] else None


def _served(body: Mapping[str, Any], template: Mapping[str, Any]) -> Json | None:
    """Return the version that pods of ``template`` serve, of the form that ``body`` has now."""
    version = _version(body)
    containers = template["spec"].get("containers") or ()
    image = next((one.get("image", "") for one in containers if one["name"] == _SERVER), "")
    known = {
        "storageUri": _source_uri(template),
        "image": image,
        "runtimeVersion": image.rpartition("/")[2].partition(":")[2],
    }
    served = {name: known[name] for name in version or ()}
    return served if served and all(served.values()) else None


def _source_uri(template: Mapping[str, Any]) -> str:
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if _SOURCE_URI in annotations:
        return str(annotations[_SOURCE_URI])
    for one in template["spec"].get("initContainers") or ():
        if one["name"] == _INITIALIZER and one.get("args"):
            return str(one["args"][0])
    return ""


def _restored(body: Mapping[str, Any], version: Mapping[str, Any]) -> Iterator[Operation]:
    root = "/spec/predictor/model"
    if "model" not in _predictor_spec(body):
        root = "/spec/predictor/containers/0"
    for name, value in version.items():
        yield {"op": "add", "path": f"{root}/{name}", "value": value}


def _taken_over(body: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[Operation]:
    own, other = _predictor_spec(body), _predictor_spec(source)
    for name in ("model", "containers"):
        path = f"/spec/predictor/{name}"
        if name in other:
            yield {"op": "add", "path": path, "value": other[name]}
        elif name in own:
            yield {"op": "remove", "path": path}


def _fingerprint(body: Mapping[str, Any]) -> str:
    """Return a fingerprint of the version; of the whole predictor where it has another form."""
    return template_fingerprint(_version(body) or {"predictor": _predictor_spec(body)})


def _require_version(ref: ObjectRef, body: Mapping[str, Any]) -> None:
    if _version(body) is None:
        raise UnsupportedError(
            f"{ref} names its model neither by spec.predictor.model.storageUri nor by the image of"
            " spec.predictor.containers[0], so its version cannot be changed; name it so"
        )


def _rolled_out(body: Mapping[str, Any]) -> bool:
    status = body.get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    transition = (status.get("modelStatus") or {}).get("transitionStatus")
    return (
        (status.get("observedGeneration") or 0) >= (body["metadata"].get("generation") or 0)
        and _condition(body, "Ready") == "True"
        and transition in {None, "", "UpToDate"}
        and predictor.get("latestReadyRevision") == predictor.get("latestCreatedRevision")
    )


def _condition(body: Mapping[str, Any], kind: str) -> str:
    for one in (body.get("status") or {}).get("conditions") or ():
        if one.get("type") == kind:
            return str(one.get("status", ""))
    return ""


def _when_ready(body: Mapping[str, Any]) -> datetime | None:
    for one in (body.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PredictorReady" and one.get("lastTransitionTime"):
            return datetime.fromisoformat(one["lastTransitionTime"])
    return None


def _predictor_spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body["spec"].get("predictor") or {}
    return found


def _predictor(name: str) -> str:
    return f"{name}-predictor"


def _ref(metadata: Mapping[str, Any]) -> ObjectRef:
    return ObjectRef("InferenceService", metadata["namespace"], metadata["name"])


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "inferenceservices", ref.name)
