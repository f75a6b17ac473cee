"""Makes the image of Backstop, and one of a model for tests, without a builder of images.

Layers are kept in the cache by what they are made of: the file system with Python by the versions
of its packages, the requirements by their pins. Only the package itself is installed each time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from backstop_lab.binaries import cache_directory
from backstop_lab.image import archive, closure, install, rootfs, wheel
from backstop_lab.image.archive import Packed, Settings

LAB_PATH = "/opt/lab"
"""Where the image of the model holds the lab's workloads."""
_PATH = f"{install.PREFIX}/bin:/usr/bin"


def ensure_layers() -> None:
    """Make the layers that need packages from outside, so that images are made without a network.

    Raises LabError.
    """
    _python()
    _requirements()


def backstop(target: Path, name: str) -> Packed:
    """Write the image of Backstop as a tar file and return what is in it. Raises LabError."""
    labels = {
        "org.opencontainers.image.title": "backstop",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": wheel.version(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        layers = [_python(), _requirements(), _package(Path(scratch))]
        return archive.write(target, name, layers, _settings(["backstop"], labels, {}))


def model(target: Path, name: str) -> Packed:
    """Write an image whose Python can run `backstop_lab.workloads`. Raises LabError."""
    with tempfile.TemporaryDirectory() as scratch:
        layers = [_python(), _requirements(), _workloads(Path(scratch))]
        settings = _settings([], {}, {"PYTHONPATH": LAB_PATH})
        return archive.write(target, name, layers, settings)


def sandbox(target: Path, name: str) -> Packed:
    """Write the image that holds the namespaces of a pod: it only waits. Raises LabError."""
    wait = ["/usr/bin/python3", "-ISc", "import signal; signal.pause()"]
    return archive.write(target, name, [_python()], _settings(wait, {}, {}))


def single(target: Path, name: str, program: Path) -> Packed:
    """Write an image that holds one static program and runs it."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        place = root / "usr" / "bin" / program.name
        place.parent.mkdir(parents=True)
        shutil.copy(program, place)
        install.settle(root)
        layer = archive.write_layer(Path(scratch) / "layer.tar", root)
        return archive.write(target, name, [layer], _settings([f"/usr/bin/{program.name}"], {}, {}))


def _settings(entrypoint: list[str], labels: dict[str, str], more: dict[str, str]) -> Settings:
    environment = {"PATH": _PATH, "LANG": "C.UTF-8", **more}
    return Settings(entrypoint, environment, f"{rootfs.USER}:{rootfs.USER}", labels)


def _python() -> Path:
    root = rootfs.ensure()
    return _kept(f"{root.name}.tar", lambda target: archive.write_layer(target, root))


def _requirements() -> Path:
    parts = (closure.RUNTIME.read_bytes(), Path(install.__file__).read_bytes())
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch) / "root"
            install.install_requirements(
                root=root, requirements=closure.RUNTIME, python=rootfs.PYTHON
            )
            archive.write_layer(target, root)

    return _kept(f"requirements-{key}.tar", make)


def _package(scratch: Path) -> Path:
    wheel.build(scratch / "wheels")
    root = scratch / "root"
    install.install_package(root=root, wheels=scratch / "wheels", package=closure.PACKAGE)
    return archive.write_layer(scratch / "package.tar", root)


def _workloads(scratch: Path) -> Path:
    root = scratch / "root"
    lab = root / LAB_PATH.lstrip("/") / "backstop_lab"
    source = Path(__file__).parents[1]
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "workloads", lab / "workloads", ignore=ignored)
    shutil.copy(source / "__init__.py", lab)
    install.settle(root)
    return archive.write_layer(scratch / "workloads.tar", root)


def _kept(name: str, make: Callable[[Path], object]) -> Path:
    target = cache_directory() / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{name}.{os.getpid()}")
        try:
            make(unfinished)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target
