"""Prometheus on a real node: the objects of the lab, with an image and a volume of its own."""

from __future__ import annotations

from pathlib import Path

from backstop_lab import prometheus
from backstop_lab.kube_api import KubeApi

IMAGE = "localhost/prometheus:lab"


async def install(api: KubeApi) -> None:
    """Create Prometheus in the cluster; its data lives as long as its pod."""
    for path, manifest in prometheus.manifests(Path("/unused")):
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            pod["containers"][0].update(image=IMAGE, imagePullPolicy="Never")
            for volume in pod["volumes"]:
                if "hostPath" in volume:
                    del volume["hostPath"]
                    volume["emptyDir"] = {}
        await api.apply(path, manifest)
