"""Jobs: what is made of a template, how far one has come, and that one action starts one Job."""

import copy
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.jobs import MANAGED, KubernetesJobs, job_body, job_facts
from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.core.facts import JobFacts, JobState, ObjectRef
from backstop.ports import ConflictError, InvalidError, NotFoundError, UnavailableError

Json = dict[str, Any]
BATCH = "/apis/batch/v1/namespaces/demo"
CRON_JOB = ObjectRef("CronJob", "demo", "train")
JOB = ObjectRef("Job", "demo", "train")
POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}


def cron_job(**metadata: Any) -> Json:
    spec = {"backoffLimit": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}
    return {
        "metadata": {"name": "train", "uid": "u1"},
        "spec": {"schedule": "@daily", "jobTemplate": {"metadata": metadata, "spec": spec}},
    }


def job(*conditions: Json, **annotations: str) -> Json:
    return {
        "metadata": {"name": "train", "namespace": "demo", "annotations": annotations},
        "status": {"conditions": list(conditions)},
    }


def test_a_job_of_a_cron_job():
    """Its template with the given name, our mark and label, and the CronJob as owner."""
    template = cron_job(labels={"team": "ml"}, annotations={"cost": "gpu"})
    before = copy.deepcopy(template)
    made = job_body(template, CRON_JOB, "train-act-1", "act-1")
    assert made == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "train-act-1",
            "labels": {"team": "ml", MANAGED: "true"},
            "annotations": {"cost": "gpu", ACTION_ID: "act-1"},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": "train",
                    "uid": "u1",
                    "controller": False,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": before["spec"]["jobTemplate"]["spec"],
    }
    assert template == before


def test_a_job_of_a_job():
    """What the API server gave to the first Job alone is left out, and it does not own the copy."""
    given = {
        "controller-uid": "u1",
        "job-name": "train",
        "batch.kubernetes.io/controller-uid": "u1",
        "batch.kubernetes.io/job-name": "train",
    }
    template = {
        "metadata": {
            "name": "train",
            "uid": "u1",
            "labels": {"team": "ml"} | given,
            "annotations": {
                "cost": "gpu",
                "batch.kubernetes.io/job-tracking": "",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        },
        "spec": {
            "suspend": True,
            "manualSelector": False,
            "selector": {"matchLabels": given},
            "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": {"creationTimestamp": None, "labels": {"a": "b"} | given},
                "spec": POD,
            },
        },
        "status": {"active": 0},
    }
    before = copy.deepcopy(template)
    made = job_body(template, JOB, "train-act-1", "act-1")
    assert made["metadata"] == {
        "name": "train-act-1",
        "labels": {"team": "ml", MANAGED: "true"},
        "annotations": {"cost": "gpu", ACTION_ID: "act-1"},
    }
    assert made["spec"] == {
        "ttlSecondsAfterFinished": 60,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD},
    }
    assert "status" not in made
    assert template == before


@pytest.mark.parametrize(
    ("conditions", "state", "message"),
    [
        ([], JobState.RUNNING, ""),
        ([("Suspended", "True", "held")], JobState.RUNNING, ""),
        ([("Complete", "False", "")], JobState.RUNNING, ""),
        ([("Complete", "True", "3 of 3")], JobState.COMPLETE, "3 of 3"),
        ([("SuccessCriteriaMet", "True", "enough")], JobState.COMPLETE, "enough"),
        ([("FailureTarget", "True", "too\nmany")], JobState.FAILED, "too many"),
        ([("FailureTarget", "True", "early"), ("Failed", "True", "")], JobState.FAILED, "early"),
        ([("Failed", "True", "x" * 900)], JobState.FAILED, "x" * 299 + "…"),
    ],
)
def test_how_far_a_job_has_come(conditions, state, message):
    """Its conditions settle it, and their words are kept on one short line."""
    given = [{"type": one, "status": status, "message": say} for one, status, say in conditions]
    assert job_facts(job(*given)) == JobFacts(JOB, "", state, message)


def test_a_reason_is_better_than_nothing():
    """Without a message the reason is told; the action that started the Job is read from it."""
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    facts = job_facts(job(condition, **{ACTION_ID: "act-1"}))
    assert (facts.action_id, facts.message) == ("act-1", "DeadlineExceeded")


def test_a_job_that_nobody_has_seen_yet():
    """Without a status it runs."""
    assert job_facts({"metadata": {"name": "train", "namespace": "demo"}}).state is JobState.RUNNING


# Starting one


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        server.add(f"{BATCH}/cronjobs", cron_job())
        yield server


@pytest.fixture
async def jobs(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield KubernetesJobs(api)
    await api.close()


async def test_one_action_starts_one_job(jobs, fake):
    """Asked again for the same action, the Job that exists is returned."""
    started = await jobs.start(CRON_JOB, "train-act-1", "act-1")
    ref = ObjectRef("Job", "demo", "train-act-1")
    assert started == JobFacts(ref, "act-1", JobState.RUNNING)
    assert await jobs.start(CRON_JOB, "train-act-1", "act-1") == started
    assert await jobs.read(ref) == started
    assert fake.writes == [("create", f"{BATCH}/jobs")]


async def test_a_lost_answer_starts_no_second_job(jobs, fake):
    """A Job whose creation was acknowledged to nobody is found by its name."""
    fake.faults.append(Fault("create", "jobs", reset="after"))
    with pytest.raises(UnavailableError):
        await jobs.start(CRON_JOB, "train-act-1", "act-1")
    assert (await jobs.start(CRON_JOB, "train-act-1", "act-1")).action_id == "act-1"
    assert fake.writes == [("create", f"{BATCH}/jobs")]


@pytest.mark.parametrize("mark", [{ACTION_ID: "act-0"}, {}])
async def test_a_taken_name(jobs, fake, mark):
    """A Job of another action, or of a person, is never taken for ours."""
    fake.add(f"{BATCH}/jobs", {"metadata": {"name": "x", "annotations": mark}})
    with pytest.raises(ConflictError, match="delete or rename it"):
        await jobs.start(CRON_JOB, "x", "act-1")
    assert fake.writes == []


async def test_a_conflict_that_is_none_of_names(jobs, fake):
    """Where no Job has the name, the API server's own words are passed on."""
    fake.faults.append(Fault("create", "jobs", status=409, message="quota changed"))
    with pytest.raises(ConflictError, match="quota changed"):
        await jobs.start(CRON_JOB, "x", "act-1")


async def test_no_template(jobs, fake):
    """A template that is absent, or of another kind, starts nothing."""
    with pytest.raises(NotFoundError, match="absent"):
        await jobs.start(ObjectRef("CronJob", "demo", "absent"), "x", "act-1")
    with pytest.raises(InvalidError, match="Pod/x is no template of a Job"):
        await jobs.start(ObjectRef("Pod", "demo", "x"), "x", "act-1")
    assert fake.writes == []
