"""Which kinds of workloads there are, and which adapter each has."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from backstop.adapters.workloads import (
    deployment,
    flagger_canary,
    inference_service,
    rollout,
    statefulset,
)
from backstop.core.facts import ObjectRef, RevisionFacts, WorkloadFacts
from backstop.ports import KubeApi, UnsupportedError, Workload

Resource = tuple[str, str, str]
"""Group, version and plural of a kind."""

Facts = Callable[[Mapping[str, Any]], WorkloadFacts]
"""Turns an object, read or watched, into facts."""


class Kind(NamedTuple):
    """One kind: where it lies, its adapter, and its facts where one object tells them all."""

    resource: Resource
    adapter: Callable[[KubeApi], Workload]
    facts: Facts | None


# One line per kind. A kind whose facts are ``None`` is read on demand instead of watched.
KINDS: Final[Mapping[str, Kind]] = {
    "Deployment": Kind(
        ("apps", "v1", "deployments"), deployment.DeploymentWorkload, deployment.workload_facts
    ),
    "StatefulSet": Kind(
        ("apps", "v1", "statefulsets"), statefulset.StatefulSetWorkload, statefulset.workload_facts
    ),
    "Rollout": Kind(
        ("argoproj.io", "v1alpha1", "rollouts"), rollout.RolloutWorkload, rollout.workload_facts
    ),
    "InferenceService": Kind(
        ("serving.kserve.io", "v1beta1", "inferenceservices"),
        inference_service.InferenceServiceWorkload,
        None,
    ),
    "Canary": Kind(("flagger.app", "v1beta1", "canaries"), flagger_canary.CanaryWorkload, None),
}

WATCHED: Final[Mapping[str, Resource]] = {
    name: kind.resource for name, kind in KINDS.items() if kind.facts is not None
}
"""The kinds whose changes can be watched."""


def facts_of(kind: str, body: Mapping[str, Any]) -> WorkloadFacts:
    """Return what an object of ``kind``, one of :data:`WATCHED`, says.

    Raises:
        UnsupportedError: ``kind`` is none of them.
    """
    known = KINDS.get(kind)
    if known is None or known.facts is None:
        raise UnsupportedError(_unknown(kind))
    return known.facts(body)


class Workloads:
    """Implements :class:`backstop.ports.Workload` for all kinds, by that of the reference."""

    def __init__(self, api: KubeApi, enabled: Collection[str] = tuple(KINDS)) -> None:
        """Make the adapter of each kind in ``enabled``; all work through ``api``."""
        self._adapters = {name: KINDS[name].adapter(api) for name in enabled}

    def _of(self, ref: ObjectRef) -> Workload:
        if ref.kind in KINDS and ref.kind not in self._adapters:
            raise UnsupportedError(
                f"{ref.kind} is not enabled: add it to `targets` of the operator's configuration"
            )
        if ref.kind not in self._adapters:
            raise UnsupportedError(_unknown(ref.kind))
        return self._adapters[ref.kind]

    async def read(self, ref: ObjectRef) -> WorkloadFacts:
        """Return the workload as it is now."""
        return await self._of(ref).read(ref)

    async def revisions(self, ref: ObjectRef) -> tuple[RevisionFacts, ...]:
        """Return the revisions that can be rolled back to, newest first."""
        return await self._of(ref).revisions(ref)

    async def rollback(
        self, facts: WorkloadFacts, fingerprint: str, action_id: str
    ) -> WorkloadFacts:
        """Make revision ``fingerprint`` the current one."""
        return await self._of(facts.ref).rollback(facts, fingerprint, action_id)

    async def restart(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Replace all pods by new ones of the same revision."""
        return await self._of(facts.ref).restart(facts, action_id)

    async def pause(self, facts: WorkloadFacts, action_id: str) -> WorkloadFacts:
        """Stop a rollout that is under way where it is."""
        return await self._of(facts.ref).pause(facts, action_id)

    async def adopt(
        self, facts: WorkloadFacts, source: WorkloadFacts, action_id: str
    ) -> WorkloadFacts:
        """Give the workload the version that ``source`` runs."""
        return await self._of(facts.ref).adopt(facts, source, action_id)


def _unknown(kind: str) -> str:
    return f"{kind} is no workload that Backstop knows; use one of {', '.join(KINDS)}"
