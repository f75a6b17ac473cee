"""InferenceServices of KServe as workloads: what they serve, and how to serve what they did before.

What can be put back of an earlier revision, and what cannot, is in
:mod:`backstop.adapters.workloads.predictor`; a revision that cannot be put back is refused. Sending
traffic back to the revision before, by ``canaryTrafficPercent``, is the part of the router.

The status names no generation of its own: its ``observedGeneration`` is that of the Deployment or
Knative Service below, so that object is read too, and has to carry what the spec asks for.

Guarantees: a change notes the action id beside what it changes, in one request that the API server
refuses when the InferenceService changed since it was read; no other field changes. The note is an
annotation of the predictor, since KServe replaces the pods of all components for one of the object.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads import deployment
from backstop.adapters.workloads.mark import ACTION_ID, Operation, pointer, require_unchanged
from backstop.adapters.workloads.owned import controller, owned
from backstop.adapters.workloads.predictor import (
    Past,
    fingerprint,
    is_made,
    marked_by,
    past,
    predictor,
    taken_over,
    without_knative,
)
from backstop.adapters.workloads.revisions import Entry
from backstop.adapters.workloads.template import (
    RESTARTED_BY,
    configuration,
    images,
    pod_template,
)
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import ConflictError, KubeApi, NotFoundError, UnsupportedError

_GROUP_VERSION: Final = "serving.kserve.io/v1beta1"
_KNATIVE: Final = "serving.knative.dev/v1"
_MODE: Final = "serving.kserve.io/deploymentMode"
_KNATIVE_MODES: Final = frozenset({"Knative", "Serverless"})
_NUMBER: Final = "serving.knative.dev/configurationGeneration"
_ALL: Final = 100

Json = dict[str, Any]


class InferenceServiceWorkload:
    """Implements :class:`backstop.ports.Workload` for ``serving.kserve.io/v1beta1``.

    Pods and past revisions are those of the predictor's Deployment (Standard mode) or Knative
    Service (Knative mode, where pods are not counted: all are taken for ready once it is).
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the InferenceService and its pods as the controllers last reported them."""
        return await self._facts(await self._api.get(_path(ref)))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions of which a pod template is left, newest first."""
        found: dict[str, RevisionFacts] = {}
        for one in await self._past(await self._api.get(_path(ref))):
            known = found.get(one.fingerprint, one)
            first = min(known.created, one.created)
            found[one.fingerprint] = RevisionFacts(one.fingerprint, known.number, first)
        return tuple(found.values())

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Write what the predictor had at revision ``fingerprint``, and nothing else.

        Raises:
            UnsupportedError: that revision differs by more than a pod template tells.

        """
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        chosen = _chosen(await self._past(body), facts.ref, fingerprint)
        changes = [
            {"op": "replace", "path": pointer("spec", "predictor", *map(str, place)), "value": one}
            for place, one in chosen.values.items()
        ]
        return await self._patch(body, action_id, changes)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all predictor pods, by an annotation that KServe copies to them."""
        if facts.last_action == action_id:
            return facts
        notes = {RESTARTED_BY: action_id, ACTION_ID: action_id}
        patch = {
            "metadata": {"resourceVersion": facts.resource_version},
            "spec": {"predictor": {"annotations": notes}},
        }
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
        """Take over the predictor of another InferenceService; name, labels and size stay."""
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
        if fingerprint(other) != source.fingerprint:
            raise ConflictError(f"the predictor of {source.ref} changed since it was read")
        return await self._patch(body, action_id, taken_over(body, other))

    async def _patch(
        self, body: Json, action_id: str, changes: Iterable[Operation]
    ) -> WorkloadFacts:
        metadata, root = body["metadata"], ("spec", "predictor", "annotations")
        version = metadata["resourceVersion"]
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
        mark = {"op": "add", "path": pointer(*root), "value": {ACTION_ID: action_id}}
        if predictor(body).get("annotations"):
            mark = {"op": "add", "path": pointer(*root, ACTION_ID), "value": action_id}
        patched = await self._api.json_patch(_path(_ref(metadata)), [guard, *changes, mark])
        return await self._facts(patched)

    async def _facts(self, body: Json) -> WorkloadFacts:
        return workload_facts(body, await self._made(body))

    async def _made(self, body: Json) -> Json | None:
        """Return what KServe made of the predictor, if there is one that is its own."""
        metadata = body["metadata"]
        names = (metadata["name"], predictor(body).get("name"), "predictor")
        kind = (_KNATIVE, "services") if _is_knative(body) else ("apps/v1", "deployments")
        name = "-".join(one for one in names if one)
        path = namespaced(kind[0], metadata["namespace"], kind[1], name)
        try:
            found = await self._api.get(path)
        except NotFoundError:
            return None
        return found if controller(found).get("uid") == metadata["uid"] else None

    async def _past(self, body: Json) -> tuple[Past, ...]:
        made = await self._made(body)
        if made is None:
            return ()
        if not _is_knative(body):
            found = await owned(self._api, made, "apps/v1", "replicasets")
            return past(body, deployment.history(found))
        metadata = made["metadata"]
        found = await self._api.list(
            namespaced(_KNATIVE, metadata["namespace"], "revisions"),
            labelSelector=f"serving.knative.dev/serviceUID={metadata['uid']}",
        )
        return past(body, [_entry(one) for one in found])


def workload_facts(body: Mapping[str, Any], made: Mapping[str, Any] | None) -> WorkloadFacts:
    """Return what an InferenceService says, and what KServe ``made`` of its predictor."""
    metadata, is_ready = body["metadata"], _condition(body, "Ready") == "True"
    desired = max(1, predictor(body).get("minReplicas") or 1)
    template = pod_template(made) if made else {"spec": predictor(body)}
    facts = WorkloadFacts(
        ref=_ref(metadata),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        fingerprint=fingerprint(body),
        desired=desired,
        ready=desired if is_ready else 0,
        rolled_out=bool(made) and is_ready and _is_loaded(body) and is_made(body, template),
        changed=_when_ready(body),
        last_action=marked_by(body),
        images=images(template),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )
    if made is None:
        return facts
    if _is_knative(body):
        done = _is_knative_done(made) and predictor(body).get("canaryTrafficPercent", _ALL) == _ALL
        return replace(facts, rolled_out=facts.rolled_out and done)
    pods = deployment.workload_facts(made)
    return replace(
        facts,
        desired=pods.desired,
        ready=pods.ready,
        rolled_out=facts.rolled_out and pods.rolled_out,
        changed=pods.changed,
    )


def _chosen(known: tuple[Past, ...], ref: ObjectRef, fingerprint: str) -> Past:
    """Return the newest earlier revision with ``fingerprint``.

    Raises:
        UnsupportedError: it cannot be told what that revision was, or not all of it.
        NotFoundError: all revisions that are left are others.

    """
    for one in known:
        if one.values and one.spec_fingerprint == fingerprint:
            return one
    if known and all(one.complete for one in known):
        raise NotFoundError(
            f"revision {fingerprint} of {ref} is gone: no pod template of it is left; perhaps"
            " revisionHistoryLimit is too small"
        )
    raise UnsupportedError(
        f"revision {fingerprint} of {ref} cannot be put back: KServe keeps no earlier spec, and"
        " of its pods only the storageUri and the image of the model can be read; apply the earlier"
        " InferenceService again"
    )


def _entry(revision: Mapping[str, Any]) -> Entry:
    """Return a Knative Revision as an entry of a history."""
    metadata = revision["metadata"]
    number = str((metadata.get("labels") or {}).get(_NUMBER, ""))
    return Entry(
        name=metadata["name"],
        number=int(number) if number.isdecimal() else 0,
        template={"metadata": without_knative(metadata), "spec": revision["spec"]},
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
    )


def _is_knative(body: Mapping[str, Any]) -> bool:
    annotations = body["metadata"].get("annotations") or {}
    mode = (body.get("status") or {}).get("deploymentMode") or annotations.get(_MODE)
    return mode in _KNATIVE_MODES


def _is_knative_done(service: Mapping[str, Any]) -> bool:
    status = service.get("status") or {}
    return (
        (status.get("observedGeneration") or 0) >= (service["metadata"].get("generation") or 0)
        and _condition(service, "Ready") == "True"
        and bool(status.get("latestCreatedRevisionName"))
        and status["latestCreatedRevisionName"] == status.get("latestReadyRevisionName")
    )


def _is_loaded(body: Mapping[str, Any]) -> bool:
    status = (body.get("status") or {}).get("modelStatus") or {}
    return status.get("transitionStatus") in {None, "", "UpToDate"}


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


def _ref(metadata: Mapping[str, Any]) -> ObjectRef:
    return ObjectRef("InferenceService", metadata["namespace"], metadata["name"])


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "inferenceservices", ref.name)
