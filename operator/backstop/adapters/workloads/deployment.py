"""Deployments as workloads: what runs, which revisions there are, and what changes them.

Guarantees: a change notes the action id beside what it changes, in one request that the API server
refuses when the Deployment changed since it was read; nothing else of the Deployment changes. A
rollback writes the template of a ReplicaSet of the same Deployment, as it is, so that pods of that
revision which still run are kept.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads import revisions
from backstop.adapters.workloads.mark import (
    json_patch,
    last_action,
    merge_patch,
    require_unchanged,
)
from backstop.adapters.workloads.owned import owned
from backstop.adapters.workloads.revisions import Entry
from backstop.adapters.workloads.source import source_template
from backstop.adapters.workloads.template import (
    adopted,
    configuration,
    images,
    pod_template,
    restarted,
    template_fingerprint,
)
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import KubeApi

_GROUP_VERSION: Final = "apps/v1"
_REVISION: Final = "deployment.kubernetes.io/revision"


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
        return revisions.revision_facts(history(await self._replica_sets(deployment)))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make the template of revision ``fingerprint`` the current one, marked ``action_id``.

        Nothing is sent when the Deployment says that this very action was done already.
        """
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        deployment = await self._api.get(_path(facts.ref))
        require_unchanged(facts, deployment)
        entries = history(await self._replica_sets(deployment))
        chosen = revisions.newest(entries, facts.ref, fingerprint)
        return await self._replace(deployment, chosen.template, action_id)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all pods by new ones of the same revision, as a rollout does."""
        return await self._merge(facts, action_id, restarted(action_id))

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Stop a rollout that is under way where it is; new templates wait until it is resumed."""
        return await self._merge(facts, action_id, {"paused": True})

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Take over the template of ``source``: its spec and annotations, with our own labels."""
        if facts.last_action == action_id:
            return facts
        deployment = await self._api.get(_path(facts.ref))
        require_unchanged(facts, deployment)
        template = adopted(pod_template(deployment), await source_template(self._api, source))
        return await self._replace(deployment, template, action_id)

    async def _merge(
        self, facts: WorkloadFacts, action_id: str, spec: Mapping[str, Any]
    ) -> WorkloadFacts:
        if facts.last_action == action_id:
            return facts
        patch = merge_patch(facts, action_id, spec)
        return workload_facts(await self._api.merge_patch(_path(facts.ref), patch))

    async def _replace(
        self, deployment: Mapping[str, Any], template: Mapping[str, Any], action_id: str
    ) -> WorkloadFacts:
        metadata = deployment["metadata"]
        change = {"op": "replace", "path": "/spec/template", "value": template}
        path = namespaced(_GROUP_VERSION, metadata["namespace"], "deployments", metadata["name"])
        patch = json_patch(metadata, action_id, change)
        return workload_facts(await self._api.json_patch(path, patch))

    async def _replica_sets(self, deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
        return await owned(self._api, deployment, _GROUP_VERSION, "replicasets")


def workload_facts(deployment: Mapping[str, Any]) -> WorkloadFacts:
    """Return what a Deployment object (read or watched) says."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    status = deployment.get("status") or {}
    replicas = spec.get("replicas")
    template = pod_template(deployment)
    desired = 1 if replicas is None else replicas
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
        last_action=last_action(metadata),
        images=images(template),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def history(replica_sets: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Return what ``replica_sets`` keep of the past; one without a number is left out."""
    return tuple(
        Entry(
            name=one["metadata"]["name"],
            number=int(number),
            template=pod_template(one),
            created=datetime.fromisoformat(one["metadata"]["creationTimestamp"]),
        )
        for one in replica_sets
        if (number := (one["metadata"].get("annotations") or {}).get(_REVISION, "")).isdecimal()
    )


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


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "deployments", ref.name)
