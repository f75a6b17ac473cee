"""Rollouts of Argo Rollouts as workloads: what runs, which revisions there are, what changes them.

Guarantees: a change of the spec notes the action id beside what it changes, in one request that the
API server refuses when the Rollout changed since it was read; nothing else of the spec changes. A
rollback to the stable revision aborts the update first, so that traffic leaves it at once, and then
writes the stable template back: an abort alone lasts only until somebody retries.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads import revisions
from backstop.adapters.workloads.defaults import without_defaults
from backstop.adapters.workloads.mark import (
    Operation,
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
    template_fingerprint,
)
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.core.gitops import last_manager, owner
from backstop.ports import ConflictError, KubeApi, UnsupportedError

_GROUP_VERSION: Final = "argoproj.io/v1alpha1"
_REVISION: Final = "rollout.argoproj.io/revision"
_TEMPLATE_HASH: Final = "rollouts-pod-template-hash"
_TRIES: Final = 5
"""How often a second write is tried while the controller keeps writing its status."""

Json = dict[str, Any]


def _now() -> datetime:
    return datetime.now(UTC)


class RolloutWorkload:
    """Implements :class:`backstop.ports.Workload` for Rollouts (``argoproj.io/v1alpha1``).

    One whose template lives in another object (``spec.workloadRef``) is read, restarted and paused;
    its fingerprints are the controller's own pod hashes.
    """

    def __init__(self, api: KubeApi, now: Callable[[], datetime] = _now) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api
        self._now = now

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the Rollout as its controller last reported it."""
        return workload_facts(await self._api.get(_path(ref)))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that still have a ReplicaSet, newest first.

        There are none to go back to where the template lives in another object.
        """
        body = await self._api.get(_path(ref))
        if "workloadRef" in body["spec"]:
            return ()
        return revisions.revision_facts(history(await self._replica_sets(body)))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make the template of revision ``fingerprint`` the current one, marked ``action_id``.

        An update that is under way is aborted first where the stable revision is the wanted one.
        """
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        _require_own_template(facts.ref, body)
        replica_sets = await self._replica_sets(body)
        chosen = revisions.newest(history(replica_sets), facts.ref, fingerprint)
        exact = next(one for one in replica_sets if one["metadata"]["name"] == chosen.name)
        change = {"op": "replace", "path": "/spec/template", "value": pod_template(exact)}
        if _stable_under_way(body, replica_sets) != fingerprint:
            return await self._patch(body, action_id, change)
        aborted = await self._abort(body, asked=True)
        return await self._while_unchanged(aborted, action_id, change)

    async def retry(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Take an update up again that was aborted, from its first step on."""
        if facts.last_action == action_id:
            return facts
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        return await self._while_unchanged(await self._abort(body, asked=False), action_id)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Have all pods replaced that are older than this moment, by this machine's clock."""
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return await self._merge(facts, action_id, {"restartAt": moment})

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Stop an update that is under way where it is; new templates wait until it is resumed."""
        return await self._merge(facts, action_id, {"paused": True})

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Take over the template of ``source``: its spec and annotations, with our own labels."""
        if facts.last_action == action_id:
            return facts
        body = await self._api.get(_path(facts.ref))
        require_unchanged(facts, body)
        _require_own_template(facts.ref, body)
        template = adopted(pod_template(body), await source_template(self._api, source))
        change = {"op": "replace", "path": "/spec/template", "value": template}
        return await self._patch(body, action_id, change)

    async def _abort(self, body: Json, *, asked: bool) -> Json:
        """Ask to abort, or no longer to; return the Rollout after that."""
        if bool((body.get("status") or {}).get("abort")) == asked:
            return body
        metadata = body["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"abort": asked},
        }
        return await self._api.merge_patch(f"{_path(_ref(metadata))}/status", patch)

    async def _while_unchanged(
        self, body: Json, action_id: str, *changes: Operation
    ) -> WorkloadFacts:
        """Patch as soon as the controller's writes of the status let it through.

        The controller answers an abort at once, so the version moves on; the generation tells
        whether the spec is still the one that was decided upon.
        """
        ref, generation = _ref(body["metadata"]), body["metadata"].get("generation")
        for _ in range(_TRIES - 1):
            try:
                return await self._patch(body, action_id, *changes)
            except ConflictError:
                body = await self._api.get(_path(ref))
                if body["metadata"].get("generation") != generation:
                    raise
        return await self._patch(body, action_id, *changes)

    async def _merge(
        self, facts: WorkloadFacts, action_id: str, spec: Mapping[str, Any]
    ) -> WorkloadFacts:
        if facts.last_action == action_id:
            return facts
        patch = merge_patch(facts, action_id, spec)
        return workload_facts(await self._api.merge_patch(_path(facts.ref), patch))

    async def _patch(
        self, body: Mapping[str, Any], action_id: str, *changes: Operation
    ) -> WorkloadFacts:
        metadata = body["metadata"]
        patch = json_patch(metadata, action_id, *changes)
        return workload_facts(await self._api.json_patch(_path(_ref(metadata)), patch))

    async def _replica_sets(self, body: Mapping[str, Any]) -> list[Json]:
        return await owned(self._api, body, "apps/v1", "replicasets")


def workload_facts(body: Mapping[str, Any]) -> WorkloadFacts:
    """Return what a Rollout object (read or watched) says."""
    metadata, spec = body["metadata"], body["spec"]
    status = body.get("status") or {}
    replicas = spec.get("replicas")
    template = pod_template(body) if "template" in spec else {}
    hashed = str(status.get("currentPodHash") or "")
    return WorkloadFacts(
        ref=_ref(metadata),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        fingerprint=_fingerprint(template) if template else hashed,
        desired=1 if replicas is None else replicas,
        ready=status.get("readyReplicas") or 0,
        rolled_out=_rolled_out(body),
        changed=_progressed(status),
        paused=bool(spec.get("paused")),
        last_action=last_action(metadata),
        images=images(template),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def history(replica_sets: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Return what ``replica_sets`` keep of the past; one without a number is left out.

    Templates come without defaults, as the Rollout's own is compared with them.
    """
    return tuple(
        Entry(
            name=one["metadata"]["name"],
            number=int(number),
            template=without_defaults(pod_template(one)),
            created=datetime.fromisoformat(one["metadata"]["creationTimestamp"]),
        )
        for one in replica_sets
        if (number := (one["metadata"].get("annotations") or {}).get(_REVISION, "")).isdecimal()
    )


def _stable_under_way(
    body: Mapping[str, Any], replica_sets: Sequence[Mapping[str, Any]]
) -> str | None:
    """Return the fingerprint of the stable revision while an update away from it is under way."""
    status = body.get("status") or {}
    stable = status.get("stableRS")
    if not stable or stable == status.get("currentPodHash"):
        return None
    for one in replica_sets:
        if (one["metadata"].get("labels") or {}).get(_TEMPLATE_HASH) == stable:
            return _fingerprint(pod_template(one))
    return None


def _fingerprint(template: Mapping[str, Any]) -> str:
    return template_fingerprint(without_defaults(template))


def _rolled_out(body: Mapping[str, Any]) -> bool:
    status = body.get("status") or {}
    # A restart is done once the controller repeats its moment.
    restart = body["spec"].get("restartAt")
    return (
        status.get("phase") == "Healthy"
        and bool(status.get("stableRS"))
        and status.get("stableRS") == status.get("currentPodHash")
        and str(status.get("observedGeneration")) == str(body["metadata"].get("generation"))
        and restart in {None, status.get("restartedAt")}
    )


def _progressed(status: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("lastUpdateTime"):
            return datetime.fromisoformat(condition["lastUpdateTime"])
    return None


def _require_own_template(ref: ObjectRef, body: Mapping[str, Any]) -> None:
    """Raise UnsupportedError where the template lives in another object."""
    elsewhere = body["spec"].get("workloadRef")
    if elsewhere:
        where = f"{elsewhere.get('kind')}/{elsewhere.get('name')}"
        raise UnsupportedError(
            f"the template of {ref} lives in {where} (spec.workloadRef), which Backstop does not"
            " change on its behalf; put the template into spec.template, or roll back by hand"
        )


def _ref(metadata: Mapping[str, Any]) -> ObjectRef:
    return ObjectRef("Rollout", metadata["namespace"], metadata["name"])


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "rollouts", ref.name)
