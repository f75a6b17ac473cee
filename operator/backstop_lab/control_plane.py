"""The command lines of etcd, the API server, the controller manager and the scheduler.

A throw-away cluster: etcd does not sync to disk. Everything else is as in production: RBAC, service
accounts, verified certificates. Endpoints of the programs themselves listen on loopback only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backstop_lab.certificates import Authority, write_signing_key
from backstop_lab.network import (
    API_PORT,
    API_SERVICE_ADDRESS,
    API_URL,
    NODE_ADDRESS,
    SERVICE_RANGE,
)

_ETCD_URL = "http://127.0.0.1:2379"
_ETCD_PEER_URL = "http://127.0.0.1:2380"
_ISSUER = "https://kubernetes.default.svc.cluster.local"
# The lab's machine may be busy; a node that is late for a minute must not lose its pods.
_NODE_GRACE = "300s"
# The default of 20 requests per second makes up most of the controllers' start-up.
_FAST_CLIENT = ("--kube-api-qps=500", "--kube-api-burst=1000")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files that the control plane and its clients identify themselves with."""

    directory: Path
    ca: Path
    admin: Path
    """Kubeconfig of the cluster's administrator."""
    authority: Authority
    """Issues more of them into the same directory."""

    def __truediv__(self, name: str) -> Path:
        return self.directory / name


def create_credentials(directory: Path) -> Credentials:
    """Create the authority, all certificates, kubeconfigs and the service-account key pair."""
    authority = Authority(directory)
    service = "kubernetes"
    names = [f"{service}{suffix}" for suffix in ("", ".default", ".default.svc")]
    authority.issue_server(
        "api-server",
        [NODE_ADDRESS, API_SERVICE_ADDRESS, "127.0.0.1"],
        ["localhost", *names, f"{service}.default.svc.cluster.local"],
    )
    authority.issue_client("admin", user="lab-admin", group="system:masters")
    for component in ("kube-controller-manager", "kube-scheduler"):
        authority.issue_client(component, user=f"system:{component}")
        authority.write_kubeconfig(component, API_URL)
    write_signing_key(directory / "accounts.key", directory / "accounts.pub")
    admin = authority.write_kubeconfig("admin", API_URL)
    return Credentials(directory, authority.certificate_file, admin, authority)


def etcd(programs: Mapping[str, Path], data: Path) -> list[str | Path]:
    """Return the command line of etcd."""
    return [
        programs["etcd"],
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={_ETCD_URL}",
        f"--advertise-client-urls={_ETCD_URL}",
        f"--listen-peer-urls={_ETCD_PEER_URL}",
        f"--initial-advertise-peer-urls={_ETCD_PEER_URL}",
        f"--initial-cluster=default={_ETCD_PEER_URL}",
        "--log-level=warn",
    ]


def api_server(programs: Mapping[str, Path], credentials: Credentials) -> list[str | Path]:
    """Return the command line of the API server."""
    return [
        programs["kube-apiserver"],
        f"--etcd-servers={_ETCD_URL}",
        f"--bind-address={NODE_ADDRESS}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=RBAC",
        f"--client-ca-file={credentials.ca}",
        f"--tls-cert-file={credentials / 'api-server.crt'}",
        f"--tls-private-key-file={credentials / 'api-server.key'}",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={credentials / 'accounts.pub'}",
        f"--service-account-signing-key-file={credentials / 'accounts.key'}",
    ]


def controller_manager(programs: Mapping[str, Path], credentials: Credentials) -> list[str | Path]:
    """Return the command line of the controller manager."""
    return [
        programs["kube-controller-manager"],
        f"--kubeconfig={credentials / 'kube-controller-manager.kubeconfig'}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={credentials / 'accounts.key'}",
        f"--root-ca-file={credentials.ca}",
        f"--node-monitor-grace-period={_NODE_GRACE}",
        *_FAST_CLIENT,
    ]


def scheduler(programs: Mapping[str, Path], credentials: Credentials) -> list[str | Path]:
    """Return the command line of the scheduler."""
    return [
        programs["kube-scheduler"],
        f"--kubeconfig={credentials / 'kube-scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        *_FAST_CLIENT,
    ]
