"""Watches reach the API server where the environment says, without DNS."""

import pytest

from backstop.runtime.login import server_of


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("10.96.0.1", "https://10.96.0.1:6443"),
        ("fd00::1", "https://[fd00::1]:6443"),
        ("api.example.com", "https://api.example.com:6443"),
    ],
)
def test_the_address_of_the_environment_is_used(host, server):
    """Addresses of both families and names."""
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}
    assert server_of(environment) == server


def test_without_the_variables_kopf_decides():
    """Such a process runs outside of a cluster, or in an unusual one."""
    assert server_of({}) is None
    assert server_of({"KUBERNETES_SERVICE_HOST": ""}) is None


def test_the_usual_port_needs_no_variable():
    """443 is the port of the Service `kubernetes`."""
    assert server_of({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}) == "https://10.96.0.1:443"
