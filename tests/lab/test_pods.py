"""What the node makes of a pod's description, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstop_lab.container import ContainerState
from backstop_lab.pod_environment import command_line, expand, service_variables
from backstop_lab.pod_fields import ConfigError, field
from backstop_lab.pod_status import pod_status
from backstop_lab.service_proxy import hosts_lines, ready_endpoints, service_ports
from backstop_lab.volumes import Mount, mount_script, wrap

POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u",
        "labels": {"app": "web", "tier": "front"},
    },
    "spec": {"nodeName": "lab"},
    "status": {"podIP": "10.244.1.7"},
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("--x=$(A)$(B)", "--x=12"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$A", "$A"),
    ],
)
def test_references_expand_as_in_kubernetes(text: str, expanded: str) -> None:
    """`$(NAME)` is replaced where NAME is known, `$$` escapes, a shell's `$NAME` stays."""
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="web"\ntier="front"'),
        ("status.podIP", "10.244.1.7"),
        ("spec.nodeName", "lab"),
    ],
)
def test_field_references(path: str, value: str) -> None:
    """The fields of the downward API have the pod's values."""
    assert field(POD, path) == value


def test_unknown_field_is_an_error_that_names_it() -> None:
    """A field that the lab does not provide is refused, not left empty."""
    with pytest.raises(ConfigError, match=r"spec\.priority"):
        field(POD, "spec.priority")


def test_container_without_command_is_refused() -> None:
    """Without images there is no entry point, so the error asks for a command."""
    with pytest.raises(ConfigError, match="needs a command"):
        command_line({"name": "a", "image": "nginx:1", "args": ["x"]}, {})


@pytest.mark.parametrize(
    "image", ["backstop", "registry/backstop:0.1.0", "a:5000/b/backstop@sha256:0"]
)
def test_our_own_image_has_an_entry_point(image: str) -> None:
    """Whatever registry and tag the chart names."""
    container = {"name": "a", "image": image, "args": ["run", "$(X)"]}
    assert command_line(container, {"X": "y"}) == ["python", "-m", "backstop", "run", "y"]


def _service(namespace: str, name: str, address: str, port: str = "") -> dict[str, Any]:
    ports = [{"name": port, "port": 80, "protocol": "TCP"}]
    spec = {"clusterIP": address, "ports": ports}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


SERVICES = [
    _service("shop", "my-model", "10.96.0.7", "http"),
    _service("other", "far", "10.96.0.8"),
    _service("default", "kubernetes", "10.96.0.1"),
    _service("shop", "headless", "None"),
]


def test_service_variables_cover_the_own_namespace_and_the_api() -> None:
    """A pod sees its namespace's Services and the API server's, and no others."""
    assert service_variables(SERVICES, "shop") == {
        "MY_MODEL_SERVICE_HOST": "10.96.0.7",
        "MY_MODEL_SERVICE_PORT": "80",
        "MY_MODEL_SERVICE_PORT_HTTP": "80",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "80",
    }


def test_proxy_listens_on_cluster_addresses_only() -> None:
    """Headless Services get no listener and no name."""
    assert dict(service_ports(SERVICES))["10.96.0.7", 80] == ("shop/my-model", "http")
    assert len(dict(service_ports(SERVICES))) == 3
    assert "headless" not in hosts_lines(SERVICES)
    assert "10.96.0.7 my-model.shop my-model.shop.svc " in hosts_lines(SERVICES)


def test_only_ready_endpoints_of_the_right_port_are_used() -> None:
    """An endpoint that is not ready, another Service's, or another port's gets no connection."""
    labels = {"kubernetes.io/service-name": "my-model"}
    endpoint_slice = {
        "metadata": {"namespace": "shop", "labels": labels},
        "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9}],
        "endpoints": [
            {"addresses": ["10.244.1.1"], "conditions": {"ready": True}},
            {"addresses": ["10.244.1.2"], "conditions": {"ready": False}},
        ],
    }
    found = list(ready_endpoints([endpoint_slice], "shop/my-model", "http"))
    assert found == [("10.244.1.1", 8080)]
    assert not list(ready_endpoints([endpoint_slice], "other/my-model", "http"))


def test_pod_without_mounts_runs_its_command_as_it_is(tmp_path: Path) -> None:
    """No mount namespace is made for nothing."""
    assert wrap(["run", "it"], [], tmp_path) == ["run", "it"]


def test_existing_mount_path_is_bound_in_place(tmp_path: Path) -> None:
    """A path that exists needs neither overlay nor another root; read-only is honoured."""
    target = tmp_path / "there"
    target.mkdir()
    script = "\n".join(mount_script([Mount(tmp_path, target, read_only=True)], tmp_path))
    assert f"mount --bind {tmp_path} {target}" in script
    assert f"remount,bind,ro {target}" in script
    assert "view" not in script
    assert "chroot" not in script


def test_missing_mount_path_never_touches_the_machine(tmp_path: Path) -> None:
    """A path that is missing is made in a covering directory, or in an assembled root."""
    inside = "\n".join(mount_script([Mount(tmp_path, tmp_path / "no" / "such")], tmp_path))
    assert f"mount --bind {tmp_path}/view-0/view {tmp_path}\n" in inside
    at_root = "\n".join(mount_script([Mount(tmp_path, Path("/no-such-directory/a"))], tmp_path))
    before, _, after = at_root.partition(f"exec chroot {tmp_path}/root")
    assert "no-such-directory" not in before
    assert "mkdir -p /no-such-directory/a" in after


def _state(name: str = "main", **state: Any) -> ContainerState:
    return ContainerState({"name": name}, state=state)


RUNNING = {"running": {"startedAt": "t0"}}


def _ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


@pytest.mark.parametrize(
    ("states", "policy", "stopped", "phase"),
    [
        ([{"waiting": {}}], "Always", False, "Pending"),
        ([RUNNING], "Always", False, "Running"),
        ([_ended(1)], "Always", False, "Running"),
        ([_ended(0)], "Never", False, "Succeeded"),
        ([_ended(0), _ended(2)], "Never", False, "Failed"),
        ([_ended(0), RUNNING], "Never", False, "Running"),
        ([_ended(0)], "OnFailure", False, "Succeeded"),
        ([_ended(1)], "OnFailure", False, "Running"),
        ([_ended(0)], "Always", True, "Succeeded"),
        ([_ended(143)], "Always", True, "Failed"),
    ],
)
def test_phase_follows_containers_and_restart_policy(
    states: list[dict[str, Any]], policy: str, stopped: object, phase: str
) -> None:
    """The phase is what a kubelet would report."""
    containers = [_state(str(number), **state) for number, state in enumerate(states)]
    assert _status(containers, policy=policy, stopped=bool(stopped))["phase"] == phase


def _status(
    containers: list[ContainerState],
    *,
    previous: dict[str, Any] | None = None,
    policy: str = "Always",
    stopped: bool = False,
    time: str = "t1",
) -> dict[str, Any]:
    return pod_status(
        previous or {},
        containers,
        [],
        address="10.244.1.7",
        restart_policy=policy,
        stopped=stopped,
        time=time,
    )


def test_condition_times_change_only_with_the_condition() -> None:
    """A transition time stays while the status stays, and moves when it changes."""
    container = _state(**RUNNING)
    first = _status([container], time="t1")
    container.ready = True
    second = _status([container], previous=first, time="t2")
    times = {c["type"]: c["lastTransitionTime"] for c in second["conditions"]}
    assert times["Ready"] == "t2"
    assert times["Initialized"] == "t1"
    assert second["startTime"] == "t1"
