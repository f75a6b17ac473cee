"""Image, chart and security context as a cluster really runs them: kubelet, containerd, runc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.chart.helm import CHART, Helm
from tests.cluster.namespace import Namespace, until
from tests.node import manifests
from tests.node.conftest import MODEL, Node
from tests.node.manifests import Object
from tests.node.processes import Process, running

from backstop_lab.kube_api import STRATEGIC, ApiError

pytestmark = pytest.mark.node

OPS, TEAM = "ops", "team"
PYTHON = "/opt/backstop/bin/python"
IDLE_MEGABYTES, MONITORS = 150.0, 10
_TIMED = (
    "import time; begin = time.process_time(); import backstop.runtime.operator; "
    "print(time.process_time() - begin)"
)


async def test_chart_in_containers_rolls_a_bad_release_back(node: Node, tmp_path: Path) -> None:
    """The chart runs restricted pods of the image, and these undo a bad release of real pods.

    The kernel itself is asked: no user is root, no capability is left, none can be gained, system
    calls are filtered, and / is read-only. Memory keeps to its budget; the time of the
    import is printed, as it depends on what else the machine does.
    """
    for name in (OPS, TEAM):
        await node.api.create("/api/v1/namespaces", manifests.namespace(name))
    ops, team = Namespace(node.api, OPS), Namespace(node.api, TEAM)
    await _refuses_an_open_pod(ops)
    install = ("install", "backstop", str(CHART), "--namespace", OPS, "--wait", "--timeout=120s")
    await Helm(tmp_path).running(*install, values=manifests.VALUES)
    processes = running("/opt/backstop/bin/backstop", "run")
    assert len(processes) == 2
    for process in processes:
        _is_confined(process)
    await _image_has_no_tools(ops)

    await team.apply(manifests.service(), manifests.deployment(MODEL))
    await until("the model is rolled out", lambda: _rolled_out(team))
    async with _load(await team.get("Service", manifests.MODEL)):
        await team.apply(manifests.monitor(TEAM))
        good = await _until_status(team, "the first release is recorded as good", _is_good)
        before = await team.get("Deployment", manifests.MODEL)
        await _release(team, VERSION="v2", ERROR_RATE="0.8")
        await until("an incident is resolved", lambda: _resolved(team))
        after = await team.get("Deployment", manifests.MODEL)
        assert after["spec"]["template"] == before["spec"]["template"]
        now, then = (
            one["revisions"]["current"]["fingerprint"] for one in (await _status(team), good)
        )
        assert now == then
        (incident,) = await team.list("Incident")
        assert incident["status"]["cause"] == "release"
        steps = [one["step"] for one in incident["status"]["actions"]]
        assert steps.count("rollback") == 1

    await _keeps_to_the_budget(ops, team, node)


async def _refuses_an_open_pod(where: Namespace) -> None:
    container = {"name": "any", "image": MODEL}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}}
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await where.api.create(where.path("Pod"), {**pod, "spec": {"containers": [container]}})


def _is_confined(process: Process) -> None:
    assert process.users == {65532}
    told = process.fields
    assert (told["Seccomp"], told["NoNewPrivs"]) == ("2", "1")
    assert {told[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert process.root_is_read_only


async def _image_has_no_tools(ops: Namespace) -> None:
    """Ask the image for programs that it must not have, and / for a new file."""
    assert (await _inside(ops, "backstop", "--version"))[1].startswith("backstop ")
    code, said = await _inside(ops, PYTHON, "-Ic", "open('/new', 'w')")
    assert code != 0
    assert "Read-only file system" in said
    for tool in ("/bin/sh", "/bin/bash", "/usr/bin/apt-get", "/usr/bin/gcc", "/usr/bin/pip"):
        code, said = await _inside(ops, tool, "--version")
        assert code != 0
        assert "no such file" in said


async def _keeps_to_the_budget(ops: Namespace, team: Namespace, node: Node) -> None:
    for number in range(1, MONITORS):
        await team.apply(manifests.monitor(TEAM, f"more-{number}", mode="Observe"))
    await asyncio.sleep(20)  # many looks at all of them
    seconds = min([float((await _inside(ops, PYTHON, "-Ic", _TIMED))[1]) for _ in range(3)])
    memory = [process.megabytes for process in running("/opt/backstop/bin/backstop", "run")]
    size = node.image.size / 1e6
    print(f"image {size:.0f} MB, import {seconds:.2f} s, memory {max(memory):.0f} MB")  # noqa: T201
    assert max(memory) <= IDLE_MEGABYTES


async def _inside(ops: Namespace, *command: str) -> tuple[int, str]:
    """Run a command in a container of Backstop; return its exit code and what it said."""
    where = ("exec", f"--namespace={ops.namespace}", "deployment/backstop", "--")
    process = await asyncio.create_subprocess_exec(
        "kubectl", *where, *command, stdout=-1, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def _rolled_out(team: Namespace) -> bool:
    found = await team.get("Deployment", manifests.MODEL)
    status = found.get("status", {})
    return status.get("observedGeneration") == found["metadata"]["generation"] and all(
        status.get(count, 0) == found["spec"]["replicas"]
        for count in ("replicas", "updatedReplicas", "availableReplicas")
    )


async def _release(team: Namespace, **variables: str) -> None:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    template = {"spec": {"containers": [{"name": "model", "env": env}]}}
    path = team.path("Deployment", manifests.MODEL)
    await team.api.patch(path, {"spec": {"template": template}}, content=STRATEGIC)


def _is_good(status: Object) -> object:
    return status.get("verdict") == "Healthy" and status.get("revisions", {}).get("lastGood")


async def _status(team: Namespace) -> Object:
    status: Object = (await team.get("ModelMonitor", manifests.MODEL)).get("status", {})
    return status


async def _until_status(team: Namespace, what: str, holds: Callable[[Object], object]) -> Object:
    async def probe() -> Object | None:
        status = await _status(team)
        return status if holds(status) else None

    return await until(what, probe)


async def _resolved(team: Namespace) -> bool:
    found = [one.get("status", {}) for one in await team.list("Incident")]
    return any(one.get("phase") == "Resolved" for one in found)


@asynccontextmanager
async def _load(service: Object) -> AsyncIterator[None]:
    """Ask for 50 predictions a second, each by a new connection, which kube-proxy spreads."""
    url = f"http://{service['spec']['clusterIP']}/predict"

    async def ask(session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(url) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            pass

    async def go_on(session: aiohttp.ClientSession) -> None:
        asked: set[asyncio.Task[None]] = set()
        while True:
            task = asyncio.create_task(ask(session))
            asked.add(task)
            task.add_done_callback(asked.discard)
            await asyncio.sleep(0.02)

    connector = aiohttp.TCPConnector(force_close=True)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        going = asyncio.create_task(go_on(session))
        try:
            yield
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
