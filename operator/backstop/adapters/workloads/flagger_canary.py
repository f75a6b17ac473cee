"""Canaries of Flagger as workloads: the Deployment that people change, and the copy that serves.

Flagger keeps two Deployments: the target of the Canary, which carries the newest template, and
``<target>-primary``, to which Flagger copies that template once its analysis has passed. The
primary gets the traffic, so its pods are counted; the target's template is the current revision,
and it is rolled out once the primary runs it too, which no phase of Flagger tells by itself.

A rollback writes an earlier template of the target, from its ReplicaSets, into the target; the
primary's, without what Flagger adds to a copy, where none is left. Flagger leaves a target alone
that holds the template it promoted last, and analyses any other one as a release. While an
analysis is under way its rollback hook is quicker: see :mod:`backstop.runtime.flagger_hook`.

Guarantees: a change notes the action id beside what it changes, in one request to the one object
that it is for (rollback and promotion: the target; restart: the primary; pause: the Canary), which
the API server refuses when that object changed since it was read.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from backstop.adapters.kube import FIELD_MANAGER
from backstop.adapters.paths import namespaced
from backstop.adapters.workloads import deployment, revisions
from backstop.adapters.workloads.mark import ACTION_ID, json_patch, last_action
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
from backstop.ports import (
    ConflictError,
    KubeApi,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)

_GROUP_VERSION: Final = "flagger.app/v1beta1"
_AT_REST: Final = frozenset({"Initialized", "Succeeded", "Failed"})
"""Phases in which Flagger changes nothing."""
_COPY_ID: Final = "flagger-id"
"""Annotation by which Flagger makes each copy of a template new."""
_TOOLKIT: Final = "toolkit.fluxcd.io"
"""Part of the names of annotations that Flagger does not copy."""
_SUFFIX: Final = "-primary"
_SPREADING: Final = ("affinity", "topologySpreadConstraints")
"""Parts of a pod's spec in which Flagger renames the labels of the copy."""

Json = dict[str, Any]


class Parts(NamedTuple):
    """The three objects of a Canary, as they were read."""

    canary: Json
    target: Json
    primary: Json

    @property
    def version(self) -> str:
        """The resource versions of all three."""
        return ",".join(one["metadata"]["resourceVersion"] for one in self)


class CanaryWorkload:
    """Implements :class:`backstop.ports.Workload` for Canaries (``flagger.app/v1beta1``).

    Those of Deployments; other targets are refused. ``resource_version`` of the facts holds those
    of the Canary, the target and the primary, divided by commas.
    """

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the Canary and its two Deployments as their controllers last reported them."""
        return workload_facts(await self._parts(ref))

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the target's revisions that still have a ReplicaSet, and the primary's."""
        parts = await self._parts(ref)
        return revisions.revision_facts(await self._history(parts))

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Write the template of revision ``fingerprint`` into the target."""
        if (facts.fingerprint, facts.last_action) == (fingerprint, action_id):
            return facts
        parts = await self._unchanged(facts)
        chosen = revisions.newest(await self._history(parts), facts.ref, fingerprint)
        return await self._replace(facts.ref, parts, chosen.template, action_id)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all pods of the primary, which has the traffic."""
        return await self._merge(facts, action_id, "primary", restarted(action_id))

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Suspend the Canary: Flagger neither analyses nor promotes until it is resumed."""
        return await self._merge(facts, action_id, "canary", {"suspend": True})

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Give the target the template of ``source``; Flagger then analyses it as any release."""
        if facts.last_action == action_id:
            return facts
        parts = await self._unchanged(facts)
        own = pod_template(parts.target)
        template = adopted(own, await source_template(self._api, source))
        return await self._replace(facts.ref, parts, template, action_id)

    async def _history(self, parts: Parts) -> tuple[Entry, ...]:
        """Return what the target's ReplicaSets keep, and the primary's template if none does."""
        kept = deployment.history(await owned(self._api, parts.target, "apps/v1", "replicasets"))
        stable, metadata = primary_template(parts), parts.primary["metadata"]
        known = {template_fingerprint(one.template) for one in kept}
        if template_fingerprint(stable) in known:
            return kept
        made = datetime.fromisoformat(metadata["creationTimestamp"])
        return (*kept, Entry(metadata["name"], 0, stable, made))

    async def _parts(self, ref: ObjectRef) -> Parts:
        canary = await self._api.get(_path(ref))
        target = canary["spec"].get("targetRef") or {}
        if target.get("kind") != "Deployment":
            raise UnsupportedError(
                f"{ref} is of a {target.get('kind')}; Backstop knows Canaries of Deployments only,"
                " so name the workload itself"
            )
        paths = [_deployment(ref.namespace, target["name"] + end) for end in ("", _SUFFIX)]
        try:
            found = await asyncio.gather(*(self._api.get(path) for path in paths))
        except NotFoundError as error:
            raise UnavailableError(
                f"{ref} is not complete, Flagger has yet to make its primary: {error}"
            ) from None
        return Parts(canary, *found)

    async def _unchanged(self, facts: WorkloadFacts) -> Parts:
        parts = await self._parts(facts.ref)
        if parts.version != facts.resource_version:
            raise ConflictError(f"{facts.ref} or one of its Deployments changed since it was read")
        return parts

    async def _replace(
        self, ref: ObjectRef, parts: Parts, template: Mapping[str, Any], action_id: str
    ) -> WorkloadFacts:
        metadata = parts.target["metadata"]
        change = {"op": "replace", "path": "/spec/template", "value": template}
        path = _deployment(ref.namespace, metadata["name"])
        patched = await self._api.json_patch(path, json_patch(metadata, action_id, change))
        return workload_facts(parts._replace(target=patched))

    async def _merge(
        self, facts: WorkloadFacts, action_id: str, part: str, spec: Mapping[str, Any]
    ) -> WorkloadFacts:
        """Patch one part, unless it is marked by this action already."""
        if facts.last_action == action_id:
            return facts
        parts = await self._unchanged(facts)
        metadata = getattr(parts, part)["metadata"]
        patch = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {ACTION_ID: action_id},
            },
            "spec": dict(spec),
        }
        path = _path(facts.ref)
        if part == "primary":
            path = _deployment(facts.ref.namespace, metadata["name"])
        patched = await self._api.merge_patch(path, patch)
        return workload_facts(parts._replace(**{part: patched}))


def workload_facts(parts: Parts) -> WorkloadFacts:
    """Return what a Canary and its two Deployments say."""
    metadata, target = parts.canary["metadata"], parts.target
    template = pod_template(target)
    current, stable = (template_fingerprint(one) for one in (template, primary_template(parts)))
    serving = deployment.workload_facts(parts.primary)
    phase = (parts.canary.get("status") or {}).get("phase")
    return WorkloadFacts(
        ref=ObjectRef("Canary", metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=parts.version,
        fingerprint=current,
        desired=serving.desired,
        ready=serving.ready,
        rolled_out=phase in _AT_REST and serving.rolled_out and current == stable,
        changed=deployment.workload_facts(target).changed,
        paused=bool(parts.canary["spec"].get("suspend")),
        last_action=_last_action(parts),
        images=images(template),
        configuration=configuration(metadata["namespace"], template),
        manager=last_manager(target["metadata"]),
        gitops=owner(target["metadata"]) or owner(metadata),
    )


def primary_template(parts: Parts) -> Json:
    """Return the primary's template as the target would carry it.

    What Flagger changes in a copy is taken back: its own annotation, labels (also where pods are
    spread by them), and the names of copied ConfigMaps and Secrets that the target has too.
    """
    own, copied = pod_template(parts.target), pod_template(parts.primary)
    annotations = dict((copied["metadata"] or {}).get("annotations") or {})
    annotations.pop(_COPY_ID, None)
    mine = (own["metadata"] or {}).get("annotations") or {}
    annotations |= {name: value for name, value in mine.items() if _TOOLKIT in name}
    copied["metadata"] = {**copied["metadata"], "annotations": annotations}
    found = adopted(own, copied)
    kept = {name: own["spec"][name] for name in _SPREADING if name in own["spec"]}
    spec = {name: value for name, value in found["spec"].items() if name not in _SPREADING}
    names = {one.name for one in configuration("", own)}
    renamed: Json = _renamed(spec | kept, {name + _SUFFIX: name for name in names})
    return {**found, "spec": renamed}


def _renamed(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    """Return ``value`` with ConfigMaps and Secrets named as ``names`` says, and nothing else."""
    if isinstance(value, dict):
        return {one: _renamed(inner, names, f"{key}.{one}") for one, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names, key) for inner in value]
    return names.get(value, value) if key.endswith(_REFERENCES) else value


_REFERENCES: Final = (
    ".configMap.name",
    ".secret.name",
    ".secret.secretName",
    ".configMapRef.name",
    ".secretRef.name",
    ".configMapKeyRef.name",
    ".secretKeyRef.name",
)
"""Where a pod's spec names a ConfigMap or a Secret."""


def _last_action(parts: Parts) -> str:
    """Return the mark that we wrote last, on whichever of the three it stands."""
    marked = [one["metadata"] for one in (parts.target, parts.canary, parts.primary)]
    marked = [metadata for metadata in marked if last_action(metadata)]
    return last_action(max(marked, key=_written)) if marked else ""


def _written(metadata: Mapping[str, Any]) -> str:
    """Return when our own field manager wrote last, as text that sorts by time."""
    times = [
        str(entry.get("time") or "")
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") == FIELD_MANAGER
    ]
    return max(times, default="")


def _deployment(namespace: str, name: str) -> str:
    return namespaced("apps/v1", namespace, "deployments", name)


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "canaries", ref.name)
