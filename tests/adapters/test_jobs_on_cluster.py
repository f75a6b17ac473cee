"""Jobs on a real API server, run by its own controller."""

import pytest
from tests.adapters.real import Json, eventually
from tests.adapters.workload_bodies import ON_CLUSTER, written

from backstop.adapters.jobs import MANAGED, KubernetesJobs
from backstop.adapters.workloads.mark import ACTION_ID
from backstop.core.facts import JobState, ObjectRef
from backstop.ports import ConflictError, InvalidError, NotFoundError

pytestmark = ON_CLUSTER


def job_spec(command: str) -> Json:
    container = {"name": "main", "image": "x", "command": ["sh", "-c", command]}
    return {
        "backoffLimit": 0,
        "template": {
            "metadata": {"labels": {"work": "training"}, "annotations": {"note": "a"}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
            },
        },
    }


def cron_job(command: str) -> Json:
    metadata = {"labels": {"team": "ml"}, "annotations": {"cost": "gpu"}}
    return {
        "metadata": {"name": "train"},
        "spec": {
            "schedule": "0 3 1 1 *",
            "suspend": True,
            "jobTemplate": {"metadata": metadata, "spec": job_spec(command)},
        },
    }


async def ended(jobs: KubernetesJobs, ref: ObjectRef):
    async def probe():
        facts = await jobs.read(ref)
        return facts if facts.state is not JobState.RUNNING else None

    return await eventually(probe)


@pytest.mark.parametrize(
    ("command", "state"), [("exit 0", JobState.COMPLETE), ("exit 1", JobState.FAILED)]
)
async def test_from_a_real_cron_job(api, namespace, command, state):
    """A Job is made as its CronJob would, marked, run, and told to its end."""
    batch = f"/apis/batch/v1/namespaces/{namespace}"
    made = await api.create(f"{batch}/cronjobs", cron_job(command))
    before = written(await api.get(f"{batch}/cronjobs/train"))
    jobs, template = KubernetesJobs(api), ObjectRef("CronJob", namespace, "train")
    started = await jobs.start(template, "train-act-1", "act-1")
    assert (started.ref, started.action_id) == (ObjectRef("Job", namespace, "train-act-1"), "act-1")
    again = await jobs.start(template, "train-act-1", "act-1")
    assert again.ref == started.ref
    body = await api.get(f"{batch}/jobs/train-act-1")
    assert body["metadata"]["labels"] == {"team": "ml", MANAGED: "true"}
    assert body["metadata"]["annotations"] == {"cost": "gpu", ACTION_ID: "act-1"}
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], False)
    assert "ttlSecondsAfterFinished" not in body["spec"]
    done = await ended(jobs, started.ref)
    assert (done.state, bool(done.message)) == (state, True)
    assert len(await api.list(f"{batch}/jobs")) == 1
    assert written(await api.get(f"{batch}/cronjobs/train")) == before


async def test_from_a_real_job(api, namespace):
    """A suspended Job is a template: its copy runs under a selector of its own, and it stays."""
    batch = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    spec = job_spec("exit 0") | {"suspend": True, "ttlSecondsAfterFinished": 3600}
    await api.create(batch, {"metadata": {"name": "repair", "labels": {"a": "b"}}, "spec": spec})

    async def suspended():
        return (await api.get(f"{batch}/repair")).get("status", {}).get("conditions")

    await eventually(suspended)
    before = await api.get(f"{batch}/repair")
    jobs = KubernetesJobs(api)
    started = await jobs.start(ObjectRef("Job", namespace, "repair"), "repair-act-1", "act-1")
    assert (await ended(jobs, started.ref)).state is JobState.COMPLETE
    body = await api.get(f"{batch}/repair-act-1")
    assert body["spec"]["ttlSecondsAfterFinished"] == 3600
    assert body["spec"]["selector"] != before["spec"]["selector"]
    assert await api.get(f"{batch}/repair") == before


async def test_a_taken_name(api, namespace):
    """A Job of another action, or of somebody else, is not taken for ours, and stays."""
    batch = f"/apis/batch/v1/namespaces/{namespace}"
    await api.create(f"{batch}/cronjobs", cron_job("exit 0"))
    jobs, template = KubernetesJobs(api), ObjectRef("CronJob", namespace, "train")
    await jobs.start(template, "train-x", "act-1")
    with pytest.raises(ConflictError, match="Job/train-x exists and was not started by this"):
        await jobs.start(template, "train-x", "act-2")
    assert (await jobs.read(ObjectRef("Job", namespace, "train-x"))).action_id == "act-1"


async def test_no_template(api, namespace):
    """A template that is absent, or no template, starts nothing."""
    jobs = KubernetesJobs(api)
    with pytest.raises(NotFoundError, match="absent"):
        await jobs.start(ObjectRef("CronJob", namespace, "absent"), "x", "act-1")
    with pytest.raises(InvalidError, match="name a CronJob or a Job"):
        await jobs.start(ObjectRef("Pod", namespace, "x"), "x", "act-1")
    assert await api.list(f"/apis/batch/v1/namespaces/{namespace}/jobs") == []
