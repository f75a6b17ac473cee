"""Jobs for actions: made from a CronJob or from a Job that serves as a template.

Guarantees: the name is given, so that the API server itself keeps an action from starting two Jobs;
what was started for another action, or by someone else, is never taken for ours. The template is
only read.
"""

from collections.abc import Mapping
from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.text import one_line
from backstop.adapters.workloads.mark import ACTION_ID, last_action
from backstop.core.facts import JobFacts, JobState, ObjectRef
from backstop.ports import ConflictError, InvalidError, KubeApi, NotFoundError

MANAGED: Final = "backstop.dev/managed"
"""Label of what Backstop has made."""

_GROUP_VERSION: Final = "batch/v1"
_PLURALS: Final = {"CronJob": "cronjobs", "Job": "jobs"}
_OF_ONE_JOB: Final = frozenset(
    {
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
    }
)
"""Labels that the API server gives to the pods of one Job, and refuses for another."""

_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_MESSAGE_LIMIT: Final = 300
_ENDS: Final = {
    "Complete": JobState.COMPLETE,
    "SuccessCriteriaMet": JobState.COMPLETE,
    "Failed": JobState.FAILED,
    "FailureTarget": JobState.FAILED,
}
"""The conditions that settle a Job; the second and fourth come before its last pods are gone."""


class KubernetesJobs:
    """Implements :class:`backstop.ports.Jobs` for ``batch/v1``."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def start(self, template: ObjectRef, name: str, action_id: str) -> JobFacts:
        """Create Job ``name`` from ``template``; one that exists with this id is returned.

        Raises:
            ConflictError: another Job has the name.
            InvalidError: ``template`` is neither a CronJob nor a Job.
            NotFoundError, ForbiddenError, UnavailableError
        """
        if template.kind not in _PLURALS:
            raise InvalidError(f"{template} is no template of a Job; name a CronJob or a Job")
        body = job_body(await self._api.get(_path(template)), template, name, action_id)
        jobs = namespaced(_GROUP_VERSION, template.namespace, "jobs")
        try:
            return job_facts(await self._api.create(jobs, body))
        except ConflictError as conflict:
            try:
                found = await self.read(ObjectRef("Job", template.namespace, name))
            except NotFoundError:
                raise conflict from None
            if found.action_id == action_id:
                return found
            raise ConflictError(
                f"{found.ref} exists and was not started by this action; delete or rename it"
            ) from None

    async def read(self, ref: ObjectRef) -> JobFacts:
        """Return how far a Job has come."""
        return job_facts(await self._api.get(_path(ref)))


def job_body(
    body: Mapping[str, Any], template: ObjectRef, name: str, action_id: str
) -> dict[str, Any]:
    """Return the Job that ``body``, a CronJob or a Job, describes.

    A Job of a CronJob goes when the CronJob goes; its own controller does not count it.
    """
    from_cron_job = template.kind == "CronJob"
    described = body["spec"]["jobTemplate"] if from_cron_job else body
    own = described.get("metadata") or {}
    labels = {key: value for key, value in (own.get("labels") or {}).items() if _is_kept(key)}
    notes = {key: text for key, text in (own.get("annotations") or {}).items() if _is_kept(key)}
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {**labels, MANAGED: "true"},
        "annotations": {**notes, ACTION_ID: action_id},
    }
    if from_cron_job:
        metadata["ownerReferences"] = [_owner(body["metadata"])]
    return {
        "apiVersion": _GROUP_VERSION,
        "kind": "Job",
        "metadata": metadata,
        "spec": _job_spec(described["spec"]),
    }


def job_facts(job: Mapping[str, Any]) -> JobFacts:
    """Return what a Job object says of itself."""
    metadata = job["metadata"]
    state, message = JobState.RUNNING, ""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") in _ENDS and condition.get("status") == "True":
            state = _ENDS[condition["type"]]
            said = condition.get("message") or condition.get("reason") or message
            message = one_line(str(said), _MESSAGE_LIMIT)
    return JobFacts(
        ref=ObjectRef("Job", metadata["namespace"], metadata["name"]),
        action_id=last_action(metadata),
        state=state,
        message=message,
    )


def _job_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``spec`` without what belongs to the one Job that it was read from."""
    left_out = {"selector", "manualSelector", "suspend"}
    copied = {field: value for field, value in spec.items() if field not in left_out}
    template = dict(copied.get("template") or {})
    metadata = dict(template.get("metadata") or {})
    if metadata.get("labels"):
        metadata["labels"] = {
            key: value for key, value in metadata["labels"].items() if key not in _OF_ONE_JOB
        }
    metadata.pop("creationTimestamp", None)
    return {**copied, "template": {**template, "metadata": metadata}}


def _is_kept(key: str) -> bool:
    return key not in _OF_ONE_JOB and not key.startswith("batch.kubernetes.io/") and key != _APPLIED


def _owner(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": _GROUP_VERSION,
        "kind": "CronJob",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, _PLURALS[ref.kind], ref.name)
