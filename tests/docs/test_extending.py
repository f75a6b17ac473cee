"""The modules in docs/extending.md are complete: each is imported as it stands there, and works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import util
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.router_cases import deployment
from tests.core.build import T0, view
from tests.docs.pages import ROOT
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.traffic import registry as routers
from backstop.adapters.workloads import registry as workloads
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import ActionState, StepKind
from backstop.core.facts import ObjectRef
from backstop.core.view import Step
from backstop.core.weights import Services
from backstop.ports import ConflictError, InvalidError, UnsupportedError
from backstop.runtime.act import Actor

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {
    title: re.findall(r"^```python\n(.*?)^```", body, re.DOTALL | re.MULTILINE)
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
}
Json = dict[str, Any]


def module_of(section: str, directory: Path, name: str) -> ModuleType:
    """Write the module of a section into a file, and import it."""
    (text,) = SECTIONS[section]
    file = directory / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    spec = util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def fake() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def api(fake: FakeApi) -> AsyncIterator[KubernetesApi]:
    client = KubernetesApi(Configuration(host=fake.url), deadline=2.0)
    yield client
    await client.close()


class TestSignal:
    def test_a_module_is_enough_for_a_kind(self, tmp_path: Path) -> None:
        """The field is in the custom resource, is asked about by arm, and is held to its limit."""
        (text,) = SECTIONS["A kind of signal"]
        (tmp_path / "age.py").write_text(text, encoding="utf-8")
        program = [sys.executable, Path(__file__).with_name("new_kind.py"), tmp_path]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert "How old something may be." in found["schema"]
        assert found["problems"] == []
        assert found["questions"] == ['min(model_trained_timestamp_seconds{app="fraud"})']
        assert found["young"][:3] == [86_400.0, False, "1440 min old, allowed 30d"]
        assert found["old"][1] is True
        assert [one[0] for one in found["unknown"]] == ["NoData"] * 3


class _Never:
    """A kill switch that is off, and a clock that stands still."""

    async def engaged(self) -> str:
        return ""

    def now(self) -> float:
        return T0


class TestStep:
    async def test_it_is_journaled_done_once_and_refused_when_it_is_done(
        self, fake: FakeApi, api: KubernetesApi, tmp_path: Path
    ) -> None:
        """The intent stands in the status, with what was before, before anything is changed."""
        maps = "/api/v1/namespaces/demo/configmaps"
        fake.add(maps, {"metadata": {"name": "fraud-pipeline"}, "data": {"frozen": "no", "a": "1"}})
        freeze = module_of("A step", tmp_path, "freeze").FreezePipeline(api)
        actor = Actor({StepKind.PAUSE_ROLLOUT: freeze}, _Never(), _Never())
        statuses: list[tuple[ModelMonitorStatus, int]] = []

        async def write(status: ModelMonitorStatus) -> None:
            statuses.append((status, len(fake.writes)))

        step = Step(StepKind.PAUSE_ROLLOUT, "id-1", "why")
        done = await actor.perform(view(), step, write, lambda _: None)
        assert done is not None
        (intent, before), (applied, _) = statuses
        assert before == 0
        assert intent.action is not None
        assert (intent.action.state, intent.action.before) == (ActionState.PLANNED, "no")
        assert applied.action is None or applied.action.state is ActionState.APPLIED
        live = await api.get(f"{maps}/fraud-pipeline")
        assert live["data"] == {"frozen": "true", "a": "1"}
        # Finishing it again, as after a crash, sends nothing; planning it again is refused.
        assert await freeze.change(view(), done, lambda _: None, None) == ""
        assert len(fake.writes) == 1
        assert (await freeze.plan(view(), step)).refusal == "ConfigMap/fraud-pipeline is frozen"


class TestRouter:
    BOTH = Services("target", "next", None)

    async def test_it_moves_weights_under_a_precondition(
        self, fake: FakeApi, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Registered by one line, it reads, writes one patch, and repeats nothing."""
        listed = [{"name": "other", "weight": 3}, {"name": "target"}, {"name": "next", "weight": 0}]
        fake.add(
            "/apis/traefik.io/v1alpha1/namespaces/demo/traefikservices",
            {"metadata": {"name": "model"}, "spec": {"weighted": {"services": listed}}},
        )
        traefik = module_of("A router", tmp_path, "traefik")
        kind = routers.Kind(traefik.TraefikTraffic)
        kinds = MappingProxyType({**routers.KINDS, "TraefikService": kind})
        monkeypatch.setattr(routers, "KINDS", kinds)
        made = routers.Routers(api, ["TraefikService"])
        ref = ObjectRef("TraefikService", "demo", "model")
        before = await made.read(ref, self.BOTH)
        assert dict(before.rules[0].weights) == {"other": 3, "target": 1, "next": 0}
        after = await made.write(before, {0: {"target": 9, "next": 1}})
        assert dict(after.rules[0].weights) == {"other": 3, "target": 9, "next": 1}
        assert after.in_effect
        assert await made.write(after, {0: {"target": 9, "next": 1}}) is after
        assert [verb for verb, _ in fake.writes] == ["patch"]
        with pytest.raises(ConflictError):
            await made.write(before, {0: {"target": 5, "next": 5}})
        unlisted = await made.read(ref, Services("target", "elsewhere", None))
        with pytest.raises(InvalidError, match="add them with weight 0"):
            await made.write(unlisted, {0: {"target": 0}})


class TestTarget:
    async def test_it_restarts_once_per_action_and_refuses_the_rest(
        self, fake: FakeApi, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Registered by one line; a change carries its id, and a stale version is refused."""
        body = {**deployment("model", 1), "kind": "DaemonSet"}
        counts = ("desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled")
        status = {"observedGeneration": 1, **dict.fromkeys(counts, 2)}
        fake.add("/apis/apps/v1/namespaces/demo/daemonsets", {**body, "status": status})
        daemons = module_of("A kind of target", tmp_path, "daemonset")
        resource = ("apps", "v1", "daemonsets")
        kind = workloads.Kind(resource, daemons.DaemonSetWorkload, daemons.workload_facts)
        kinds = MappingProxyType({**workloads.KINDS, "DaemonSet": kind})
        monkeypatch.setattr(workloads, "KINDS", kinds)
        made = workloads.Workloads(api, ["DaemonSet"])
        before = await made.read(ObjectRef("DaemonSet", "demo", "model"))
        assert (before.desired, before.ready, before.rolled_out) == (2, 2, True)
        after = await made.restart(before, "id-1")
        assert (after.last_action, after.fingerprint) == ("id-1", before.fingerprint)
        assert not after.rolled_out
        assert await made.restart(after, "id-1") is after
        assert [verb for verb, _ in fake.writes] == ["patch"]
        with pytest.raises(ConflictError):
            await made.restart(before, "id-2")
        with pytest.raises(UnsupportedError, match="do it by hand"):
            await made.rollback(after, "other", "id-3")
