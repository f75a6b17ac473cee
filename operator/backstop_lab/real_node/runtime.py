"""containerd: its configuration, the network of pods, and the images that it starts them from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from backstop_lab.errors import LabError
from backstop_lab.real_node.network import POD_RANGE

SANDBOX = "localhost/sandbox:lab"
_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
# Lowering the score of a sandbox is forbidden on some machines, and of no use here.
_CONFIGURATION = """\
version = 3
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{sandbox}"

[plugins."io.containerd.cri.v1.runtime"]
enable_cdi = false
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{directory}/cni"
"""


class Runtime:
    """containerd with everything that it keeps below one directory."""

    def __init__(self, programs: Mapping[str, Path], directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self.socket = directory / "containerd.sock"

    def command(self) -> list[str | Path]:
        """Write the configuration and return the command line."""
        (self._directory / "cni").mkdir(parents=True)
        network = self._directory / "cni" / "10-pods.conflist"
        network.write_text(json.dumps(_NETWORK))
        file = self._directory / "config.toml"
        file.write_text(
            _CONFIGURATION.format(
                directory=self._directory,
                socket=self.socket,
                sandbox=SANDBOX,
                runc=self._programs["runc"],
                plugins=self._programs["plugins"],
            )
        )
        return [self._programs["containerd"], "--config", file]

    async def is_ready(self) -> bool:
        """Return whether containerd answers."""
        code, _ = await self._ctr("version")
        return code == 0

    async def load(self, image: Path) -> None:
        """Import an image that was written by `backstop_lab.image`. Raises LabError."""
        code, said = await self._ctr("images", "import", "--local", str(image))
        if code != 0:
            raise LabError(f"containerd refuses {image.name}:\n{said.strip()}")

    async def _ctr(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            self._programs["ctr"],
            f"--address={self.socket}",
            "--namespace=k8s.io",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")
