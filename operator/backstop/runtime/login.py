"""How kopf's watches find the API server and identify themselves.

In a cluster the address is that of the environment, as for all other requests of ours: a cluster
whose DNS is down must not lose its watches.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import kopf


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Return the credentials of the pod's service account, else those of a kubeconfig."""
    in_cluster = kopf.login_with_service_account(**kwargs)
    if in_cluster is None:
        return kopf.login_with_kubeconfig(**kwargs)
    server = server_of(os.environ)
    return in_cluster if server is None else dataclasses.replace(in_cluster, server=server)


def server_of(environment: Mapping[str, str]) -> str | None:
    """Return the API server's URL by the variables that every pod has, or None without them."""
    host = environment.get("KUBERNETES_SERVICE_HOST")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
