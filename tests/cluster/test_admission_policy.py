"""The chart's admission policies: who may not change an object cannot have Backstop change it.

The policies are rendered by the real helm, and enforced by the real API server for users that its
RBAC knows. Which groups and plurals must be asked about is told by the adapters that write to them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.cluster import manifests
from tests.cluster.namespace import until
from tests.cluster.stage import MONITOR, Object, Stage

from backstop.adapters.traffic.registry import KINDS as ROUTERS
from backstop.adapters.workloads.registry import KINDS as WORKLOADS
from backstop.api.modelmonitor import Traffic, WorkloadKind
from backstop_lab import build
from backstop_lab.binaries import HELM
from backstop_lab.kube_api import APPLY, MERGE, ApiError

pytestmark = pytest.mark.cluster

CHART = Path(__file__).parents[2] / "charts" / "backstop"
POLICY = "templates/admission-policy.yaml"
USER = "ada"
Right = tuple[str, str, str]
"""Group and plural of a resource, and the name of an object; empty means any."""

WRITES: list[Object] = [
    {"apiGroups": ["backstop.dev"], "resources": ["modelmonitors", "runbooks"], "verbs": ["*"]}
]
CREATE_JOBS: Object = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
TARGET: Right = ("apps", "deployments", "model")
UNWATCHED = {
    "Ingress": ("networking.k8s.io", "ingresses"),
    "Service": ("", "services"),
    "InferenceService": ("serving.kserve.io", "inferenceservices"),
}
RUN = [{"name": "again", "runJob": {"cronJob": "train"}}]


def _workload(kind: str, name: str) -> Right:
    group, _, plural = WORKLOADS[kind].resource
    return group, plural, name


def _router(kind: str, name: str) -> Right:
    known = ROUTERS[kind].resource
    group, plural = (known[0], known[2]) if known else UNWATCHED[kind]
    return group, plural, name


def rule(right: Right, verb: str = "patch") -> Object:
    group, plural, name = right
    return {"apiGroups": [group], "resources": [plural], "verbs": [verb], "resourceNames": [name]}


@pytest.fixture(scope="module")
def policies() -> Iterator[None]:
    """Install the chart's policies, and nothing else of it."""
    command = [str(build.ensure(HELM)), "template", "guard", str(CHART), "--show-only", POLICY]
    values = {"admissionPolicy": {"enabled": True}, "sources": {"default": {"url": "http://p"}}}
    made = subprocess.run(  # noqa: S603
        [*command, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    for verb in (["apply", "--server-side"], ["delete"]):
        if verb == ["delete"]:
            yield
        subprocess.run(  # noqa: S603
            ["kubectl", *verb, "-f", "-"],  # noqa: S607
            input=made.stdout,
            text=True,
            check=True,
            timeout=60,
        )


class User:
    """Somebody whom RBAC knows in one namespace."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def may(self, *rules: Object) -> None:
        """Grant exactly `rules`, and wait until the API server knows."""
        group = "rbac.authorization.k8s.io"
        prefix = f"/apis/{group}/v1/namespaces/{self.stage.namespace}"
        body = {"apiVersion": f"{group}/v1", "metadata": {"name": USER}}
        await self.stage.api.apply(
            f"{prefix}/roles/{USER}", {**body, "kind": "Role", "rules": [*WRITES, *rules]}
        )
        await self.stage.api.apply(
            f"{prefix}/rolebindings/{USER}",
            {
                **body,
                "kind": "RoleBinding",
                "roleRef": {"apiGroup": group, "kind": "Role", "name": USER},
                "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
            },
        )

        async def known() -> bool:
            return all([await self._can(one) for one in (*WRITES, *rules)])

        await until("RBAC knows the role", known, seconds=20)

    async def _can(self, one: Object) -> bool:
        attributes = {
            "namespace": self.stage.namespace,
            "group": one["apiGroups"][0],
            "resource": one["resources"][0],
            "verb": one["verbs"][0],
            "name": one.get("resourceNames", [""])[0],
        }
        answer = await self.stage.api.create(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": USER, "resourceAttributes": attributes},
            },
        )
        return bool(answer["status"]["allowed"])

    async def _send(self, one: Object, content: str, **query: str) -> None:
        api = self.stage.api
        async with api.session.patch(
            api.server + self.stage.path(one["kind"], one["metadata"]["name"]),
            data=json.dumps(one),
            headers={"Content-Type": content, "Impersonate-User": USER},
            params=query,
        ) as response:
            answer = await response.json()
            if not response.ok:
                raise ApiError(response.status, answer["message"])

    async def apply(self, one: Object) -> None:
        """Create or change an object as this user. Raises ApiError."""
        await self._send(one, APPLY, fieldManager=USER, force="true")

    async def change(self, part: Object) -> None:
        """Merge into the monitor as this user. Raises ApiError."""
        whole = {"apiVersion": "backstop.dev/v1alpha1", "kind": "ModelMonitor"}
        await self._send({**whole, "metadata": {"name": MONITOR}, **part}, MERGE)

    async def refused(self, one: Object) -> str:
        """Return the sentence with which an object is refused."""
        with pytest.raises(ApiError) as refusal:
            await self.apply(one)
        assert refusal.value.status == 403
        return str(refusal.value)


@pytest.fixture
async def user(stage: Stage, policies: None) -> User:  # noqa: ARG001
    """Give somebody who may write monitors and runbooks, and nothing else."""
    made = User(stage)
    await made.may()

    async def guarded() -> bool:
        try:
            await made.apply(monitor(stage.namespace))
        except ApiError as error:
            return "may not patch" in str(error)
        await stage.delete("ModelMonitor", MONITOR)  # or the same once more were no change
        return False

    await until("the policies are in force", guarded, seconds=30)
    return made


def monitor(namespace: str, **spec: Any) -> Object:
    """Return a monitor of the Deployment `model` that moves no traffic, unless said otherwise."""
    return manifests.monitor(namespace, **{"traffic": None, "fallback": None, **spec})


def arm(namespace: str, kind: str, name: str) -> Object:
    return manifests.arm(namespace, name, kind=kind)


def runbook(**causes: Any) -> Object:
    return {
        "apiVersion": "backstop.dev/v1alpha1",
        "kind": "Runbook",
        "metadata": {"name": "ours"},
        "spec": causes,
    }


@pytest.mark.parametrize("kind", get_args(WorkloadKind))
async def test_the_target_must_be_ones_own(stage: Stage, user: User, kind: str) -> None:
    """Each kind of target needs patch on that very object; the sentence says what to ask for."""
    mine = monitor(stage.namespace, target=arm(stage.namespace, kind, "model"))
    right = _workload(kind, "model")
    await user.may(rule(_workload(kind, "another")))
    assert (
        f"user {USER} may not patch {kind} model in namespace {stage.namespace}, the target that"
        " Backstop would change for this monitor: ask for the verb patch on"
        f" {right[1]}.{right[0]}"
    ) in await user.refused(mine)
    await user.may(rule(right, "get"))
    assert f"may not patch {kind} model" in await user.refused(mine)
    await user.may(rule(right))
    await user.apply(mine)


@pytest.mark.parametrize("kind", get_args(WorkloadKind))
async def test_the_candidate_must_be_ones_own(stage: Stage, user: User, kind: str) -> None:
    """A right to the target is none to the candidate."""
    mine = monitor(
        stage.namespace,
        traffic={"service": "front"},
        candidate=arm(stage.namespace, kind, "next"),
    )
    others = [rule(TARGET), rule(("", "services", "front"))]
    await user.may(*others)
    said = await user.refused(mine)
    assert f"may not patch {kind} next in namespace {stage.namespace}, the candidate that" in said
    await user.may(*others, rule(_workload(kind, "next")))
    await user.apply(mine)


@pytest.mark.parametrize(
    "field", [name for name in Traffic.model_fields if name != "replica_ratio"]
)
async def test_the_router_must_be_ones_own(stage: Stage, user: User, field: str) -> None:
    """A right to the target is none to what divides the traffic, of whatever kind."""
    name = Traffic.model_fields[field].alias or field
    traffic = Traffic.model_validate({name: "edge"})
    (kind,) = traffic.routers
    mine = monitor(stage.namespace, traffic={name: "edge"})
    await user.may(rule(TARGET))
    said = await user.refused(mine)
    assert f"may not patch {kind} edge in namespace {stage.namespace}, the router that" in said
    await user.may(rule(TARGET), rule(_router(kind, "edge")))
    await user.apply(mine)


async def test_a_ratio_of_replicas_needs_both_workloads_and_no_router(
    stage: Stage, user: User
) -> None:
    """Where the numbers of pods are the split, the rights to them are enough."""
    mine = monitor(
        stage.namespace,
        traffic={"replicaRatio": {}},
        candidate=manifests.arm(stage.namespace, "next"),
    )
    await user.may(rule(TARGET))
    assert "may not patch Deployment next" in await user.refused(mine)
    await user.may(rule(TARGET), rule(("apps", "deployments", "next")))
    await user.apply(mine)


@pytest.mark.parametrize("cause", ["data", "model", "infrastructure", "release"])
async def test_jobs_need_the_right_to_create_jobs(stage: Stage, user: User, cause: str) -> None:
    """In a Runbook and in a monitor's own steps, under any cause."""
    mine = monitor(stage.namespace, runbook={cause: RUN})
    await user.may(rule(TARGET))
    for one, what in ((runbook(**{cause: RUN}), "runbook"), (mine, "monitor")):
        assert (
            f"user {USER} may not create Jobs in namespace {stage.namespace}, which Backstop would"
            f" do in a step runJob of this {what}: ask for the verb create on jobs.batch"
        ) in await user.refused(one)
    await user.may(rule(TARGET), CREATE_JOBS)
    await user.apply(runbook(**{cause: RUN}))
    await user.apply(mine)


async def test_a_runbook_without_jobs_needs_no_more(user: User) -> None:
    """Its other steps act on the objects of the monitors that name it."""
    await user.apply(runbook(release=[{"name": "back", "rollback": {}}]))


async def test_a_monitor_of_somebody_else_cannot_be_changed(stage: Stage, user: User) -> None:
    """Neither what it watches nor what it may do, nor what is approved or asked of a candidate."""
    mine = monitor(stage.namespace, mode="Observe")
    await user.may(rule(TARGET))
    await user.apply(mine)
    await user.may()
    for part in (
        {"spec": {"mode": "Act"}},
        {"spec": {"target": {"name": "other"}}},
        {"spec": {"runbook": {"name": "ours"}}},
        {"spec": {"suspend": True}},
        *(
            {"metadata": {"name": MONITOR, "annotations": {f"backstop.dev/{name}": "promote"}}}
            for name in ("approve", "deny", "candidate")
        ),
    ):
        with pytest.raises(ApiError, match=r"may not patch Deployment") as refusal:
            await user.change(part)
        assert refusal.value.status == 403


async def test_what_only_notes_something_down_passes(stage: Stage, user: User) -> None:
    """Finalizers, labels and other annotations are written by those who may write monitors."""
    await user.may(rule(TARGET))
    await user.apply(monitor(stage.namespace, mode="Observe"))
    await user.change(
        {"metadata": {"name": MONITOR, "annotations": {"backstop.dev/candidate": "pause"}}}
    )
    await user.may()
    noted = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/keep"]}
    await user.change({"metadata": {"name": MONITOR, **noted}})
    found = (await stage.get("ModelMonitor", MONITOR))["metadata"]
    assert found["annotations"]["backstop.dev/candidate"] == "pause"
    assert found["finalizers"] == ["example.com/keep"]
    await user.change({"metadata": {"name": MONITOR, "finalizers": None}})
