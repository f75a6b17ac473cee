"""Gives the network namespace a device for the node's address, and forwards between pods.

A bridge without ports serves as the node's interface: the kubelet and the API server look for a
device with the default route. Pods get addresses from a bridge of the CNI plugin.
"""

from __future__ import annotations

from pathlib import Path

from backstop_lab.network import NODE_ADDRESS

POD_RANGE = "10.244.1.0/24"
"""Part of the lab's pod range; the node's address is outside of it."""
_DEVICE = "node0"


def prepare() -> None:
    """Set up loopback and the node's device. Needs a fresh network namespace, as root."""
    # Heavy to import, and it ships no types.
    from pyroute2 import IPRoute  # type: ignore[import-untyped]  # noqa: PLC0415

    with IPRoute() as routes:
        routes.link("set", index=1, state="up")
        routes.link("add", ifname=_DEVICE, kind="bridge")
        (index,) = routes.link_lookup(ifname=_DEVICE)
        routes.addr("add", index=index, address=NODE_ADDRESS, prefixlen=24)
        routes.link("set", index=index, state="up")
        routes.route("add", dst="0.0.0.0/0", oif=index, scope="link")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
