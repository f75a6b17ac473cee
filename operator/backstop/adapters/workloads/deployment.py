"""Deployments as workloads: what runs, which revisions there are, and the way back to one.

Guarantees: a rollback replaces the pod template by that of a ReplicaSet of the same Deployment and
notes the action id beside it, in one request that the API server refuses when the Deployment
changed since it was read; nothing else of the Deployment changes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads.template import configuration
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import ConflictError, KubeApi, NotFoundError

ACTION_ID: Final = "backstop.dev/action-id"
"""Annotation on the workload: which action of ours changed its template last."""

_GROUP_VERSION: Final = "apps/v1"
_REVISION: Final = "deployment.kubernetes.io/revision"
_TEMPLATE_HASH: Final = "pod-template-hash"
_FINGERPRINT_DIGITS: Final = 16


class DeploymentWorkload:
    """Implements :class:`backstop.ports.Workload` for Deployments (``apps/v1``)."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the Deployment as its controller last reported it."""
        return workload_facts(await self._api.get(_path(ref)))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that still have a ReplicaSet, newest first."""
        deployment = await self._api.get(_path(ref))
        return revision_facts(await self._replica_sets(deployment))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make the template of revision ``fingerprint`` the current one, marked ``action_id``.

        Nothing is sent when the Deployment says that this very action was done already.
        """
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        deployment = await self._api.get(_path(facts.ref))
        if deployment["metadata"]["resourceVersion"] != facts.resource_version:
            raise ConflictError(f"{facts.ref} changed since it was read")
        for replica_set in await self._replica_sets(deployment):
            template = pod_template(replica_set)
            if template_fingerprint(template) == fingerprint:
                patch = _rollback_patch(deployment, template, action_id)
                return workload_facts(await self._api.json_patch(_path(facts.ref), patch))
        raise NotFoundError(
            f"revision {fingerprint} of {facts.ref} is gone: no ReplicaSet has its template;"
            " perhaps revisionHistoryLimit is too small"
        )

    async def _replica_sets(self, deployment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        metadata = deployment["metadata"]
        found = await self._api.list(
            namespaced(_GROUP_VERSION, metadata["namespace"], "replicasets"),
            labelSelector=_selector(deployment["spec"].get("selector") or {}),
        )
        return [one for one in found if _controller_uid(one) == metadata["uid"]]


def workload_facts(deployment: Mapping[str, Any]) -> WorkloadFacts:
    """Return what a Deployment object (read or watched) says."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    status = deployment.get("status") or {}
    replicas = spec.get("replicas")
    template = pod_template(deployment)
    desired = 1 if replicas is None else replicas
    containers = (template.get("spec") or {}).get("containers") or ()
    return WorkloadFacts(
        ref=ObjectRef("Deployment", metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        fingerprint=template_fingerprint(template),
        desired=desired,
        ready=status.get("readyReplicas") or 0,
        rolled_out=_rolled_out(metadata.get("generation") or 0, desired, status),
        changed=_progressed(status),
        paused=bool(spec.get("paused")),
        last_action=(metadata.get("annotations") or {}).get(ACTION_ID, ""),
        images=MappingProxyType({one["name"]: one.get("image", "") for one in containers}),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def revision_facts(replica_sets: Sequence[Mapping[str, Any]]) -> tuple[RevisionFacts, ...]:
    """Return the revisions of ``replica_sets``, newest first; one without a number is left out."""
    revisions = [
        RevisionFacts(
            fingerprint=template_fingerprint(pod_template(one)),
            number=int(number),
            created=datetime.fromisoformat(one["metadata"]["creationTimestamp"]),
        )
        for one in replica_sets
        if (number := (one["metadata"].get("annotations") or {}).get(_REVISION, "")).isdecimal()
    ]
    return tuple(sorted(revisions, key=lambda revision: revision.number, reverse=True))


def pod_template(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template of a Deployment or ReplicaSet as a person wrote it.

    The label that the Deployment controller adds for each ReplicaSet is taken off, and so is the
    empty creation time that older API servers write.
    """
    template = dict(owner["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    if "labels" in metadata:
        metadata["labels"] = {
            name: value for name, value in metadata["labels"].items() if name != _TEMPLATE_HASH
        }
    if metadata.get("creationTimestamp", "") is None:
        del metadata["creationTimestamp"]
    template["metadata"] = metadata
    return template


def template_fingerprint(template: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that are equal for equal templates of :func:`pod_template`."""
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def _rollback_patch(
    deployment: Mapping[str, Any], template: Mapping[str, Any], action_id: str
) -> list[dict[str, Any]]:
    metadata = deployment["metadata"]
    if metadata.get("annotations"):
        pointer = "/metadata/annotations/" + ACTION_ID.replace("~", "~0").replace("/", "~1")
        mark: dict[str, Any] = {"op": "add", "path": pointer, "value": action_id}
    else:
        mark = {"op": "add", "path": "/metadata/annotations", "value": {ACTION_ID: action_id}}
    version = metadata["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
        mark,
    ]


def _rolled_out(generation: int, desired: int, status: Mapping[str, Any]) -> bool:
    counts = {
        status.get(name) or 0 for name in ("replicas", "updatedReplicas", "availableReplicas")
    }
    return (
        (status.get("observedGeneration") or 0) >= generation
        and counts == {desired}
        and not status.get("unavailableReplicas")
    )


def _progressed(status: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("lastUpdateTime"):
            return datetime.fromisoformat(condition["lastUpdateTime"])
    return None


def _controller_uid(owned: Mapping[str, Any]) -> str:
    for reference in owned["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid", ""))
    return ""


def _selector(selector: Mapping[str, Any]) -> str:
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        values = f"({','.join(one.get('values') or ())})"
        terms.append(
            {
                "In": f"{one['key']} in {values}",
                "NotIn": f"{one['key']} notin {values}",
                "Exists": one["key"],
                "DoesNotExist": f"!{one['key']}",
            }[one["operator"]]
        )
    return ",".join(terms)


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "deployments", ref.name)
