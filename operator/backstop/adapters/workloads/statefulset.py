"""StatefulSets as workloads: what runs, which revisions there are, and what changes them.

Guarantees: a change notes the action id beside what it changes, in one request that the API server
refuses when the StatefulSet changed since it was read; nothing else of the StatefulSet changes. A
change of the template also deletes the pods that would hold it up: a StatefulSet that starts its
pods in order waits for each to become ready, also for one that is to be replaced. A change that was
marked before sends no patch again, and deletes what is still in its way.
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
    last_written,
    pod_template,
    restarted,
    template_fingerprint,
)
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import ConflictError, KubeApi, UnsupportedError

_GROUP_VERSION: Final = "apps/v1"
_POD_REVISION: Final = "controller-revision-hash"
_NO_POD: Final = 1_000_000
"""A partition beyond every number of replicas: scaling out must not resume what was paused."""


class StatefulSetWorkload:
    """Implements :class:`backstop.ports.Workload` for StatefulSets (``apps/v1``).

    One that replaces its pods only when somebody deletes them (``OnDelete``) is read, not changed.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the StatefulSet as its controller last reported it."""
        return workload_facts(await self._api.get(_path(ref)))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that still have a ControllerRevision, newest first."""
        return revisions.revision_facts(await self._history(await self._api.get(_path(ref))))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make the template of revision ``fingerprint`` the current one, marked ``action_id``."""
        body = await self._api.get(_path(facts.ref))
        is_there = template_fingerprint(pod_template(body)) == fingerprint
        if not (is_there and _is_marked(body, action_id)):
            _require_changeable(facts, body)
            chosen = revisions.newest(await self._history(body), facts.ref, fingerprint)
            body = await self._replace(body, chosen.template, action_id)
        return await self._unblocked(body)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all pods by new ones of the same revision, one after the other."""
        body = await self._api.get(_path(facts.ref))
        if not _is_marked(body, action_id):
            _require_changeable(facts, body)
            patch = merge_patch(facts, action_id, restarted(action_id))
            body = await self._api.merge_patch(_path(facts.ref), patch)
        return await self._unblocked(body)

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Let no more pods be updated, by a partition above all of them."""
        body = await self._api.get(_path(facts.ref))
        if not _is_marked(body, action_id):
            _require_changeable(facts, body)
            strategy = {"updateStrategy": {"rollingUpdate": {"partition": _NO_POD}}}
            patch = merge_patch(facts, action_id, strategy)
            body = await self._api.merge_patch(_path(facts.ref), patch)
        return workload_facts(body)

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Take over the template of ``source``: its spec and annotations, with our own labels."""
        body = await self._api.get(_path(facts.ref))
        if not _is_marked(body, action_id):
            _require_changeable(facts, body)
            template = adopted(pod_template(body), await source_template(self._api, source))
            body = await self._replace(body, template, action_id)
        return await self._unblocked(body)

    async def _replace(
        self, body: Mapping[str, Any], template: Mapping[str, Any], action_id: str
    ) -> dict[str, Any]:
        metadata = body["metadata"]
        change = {"op": "replace", "path": "/spec/template", "value": template}
        path = namespaced(_GROUP_VERSION, metadata["namespace"], "statefulsets", metadata["name"])
        return await self._api.json_patch(path, json_patch(metadata, action_id, change))

    async def _history(self, body: Mapping[str, Any]) -> tuple[Entry, ...]:
        return history(await owned(self._api, body, _GROUP_VERSION, "controllerrevisions"))

    async def _unblocked(self, body: Mapping[str, Any]) -> WorkloadFacts:
        """Delete the pods that hold a change of the template up; return the facts of ``body``."""
        if body["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady":
            # A new pod comes after its revision: in this order none of them looks like an old one.
            pods = await owned(self._api, body, "v1", "pods")
            template = pod_template(body)
            current = {one.name for one in await self._history(body) if one.template == template}
            for pod in pods:
                metadata = pod["metadata"]
                is_current = (metadata.get("labels") or {}).get(_POD_REVISION) in current
                if not (is_current or _is_ready(pod) or metadata.get("deletionTimestamp")):
                    path = namespaced("v1", metadata["namespace"], "pods", metadata["name"])
                    await self._delete(path, metadata["uid"])
        return workload_facts(body)

    async def _delete(self, path: str, uid: str) -> None:
        try:
            await self._api.delete(path, uid)
        except ConflictError:
            return  # another pod has taken the name: the one that was stuck is gone


def workload_facts(body: Mapping[str, Any]) -> WorkloadFacts:
    """Return what a StatefulSet object (read or watched) says."""
    metadata, spec = body["metadata"], body["spec"]
    status = body.get("status") or {}
    replicas = spec.get("replicas")
    desired = 1 if replicas is None else replicas
    template = pod_template(body)
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    return WorkloadFacts(
        ref=ObjectRef("StatefulSet", metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        fingerprint=template_fingerprint(template),
        desired=desired,
        ready=status.get("readyReplicas") or 0,
        rolled_out=_rolled_out(body, desired),
        changed=last_written(metadata),
        paused=desired > 0 and (rolling.get("partition") or 0) >= desired,
        last_action=last_action(metadata),
        images=images(template),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def history(controller_revisions: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Return what ``controller_revisions`` keep of the past."""
    return tuple(
        Entry(
            name=one["metadata"]["name"],
            number=int(one["revision"]),
            template=_kept_template(one["data"]),
            created=datetime.fromisoformat(one["metadata"]["creationTimestamp"]),
        )
        for one in controller_revisions
    )


def _kept_template(data: Mapping[str, Any]) -> dict[str, Any]:
    # What is kept is a strategic merge patch, whose directive is no part of the template.
    template = pod_template(data)
    template.pop("$patch", None)
    return template


def _rolled_out(body: Mapping[str, Any], desired: int) -> bool:
    status = body.get("status") or {}
    counts = {
        status.get(name) or 0 for name in ("replicas", "updatedReplicas", "availableReplicas")
    }
    # With OnDelete the controller never reports the revision that all pods have as the current one.
    one_revision = status.get("currentRevision") == status.get("updateRevision")
    return (
        (status.get("observedGeneration") or 0) >= (body["metadata"].get("generation") or 0)
        and counts == {desired}
        and (one_revision or _strategy(body) == "OnDelete")
    )


def _require_changeable(facts: WorkloadFacts, body: Mapping[str, Any]) -> None:
    require_unchanged(facts, body)
    if _strategy(body) == "OnDelete":
        raise UnsupportedError(
            f"{facts.ref} replaces its pods only when they are deleted, so that no change of it"
            " takes effect; set spec.updateStrategy.type to RollingUpdate"
        )


def _is_marked(body: Mapping[str, Any], action_id: str) -> bool:
    return last_action(body["metadata"]) == action_id


def _strategy(body: Mapping[str, Any]) -> str:
    return str((body["spec"].get("updateStrategy") or {}).get("type") or "RollingUpdate")


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "statefulsets", ref.name)
