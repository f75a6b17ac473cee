"""Installs the package and its runtime requirements into directories that become layers.

Both the `Dockerfile` and the lab's own builder run it, so that the same wheel and constraints give
the same files, byte for byte: hashes are required, bytecode is compiled in a way that looks at no
modification time, and all times are the same. Needs nothing but Python and pip, and the Python
that runs it must be of the version that the image has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

PREFIX = "/opt/backstop"
EPOCH = 315_532_800
"""1980-01-01, the earliest time that every archive format can hold."""

_SCRIPT = """\
#!{prefix}/bin/python -Iu
import sys

from {module} import {function}

sys.exit({function}())
"""
# Neither is looked at when the package runs.
_NOT_NEEDED = ("tests", "include", "__pycache__")


def install_requirements(*, root: Path, requirements: Path, python: str) -> None:
    """Fill `root` with a virtual environment that holds what is pinned, on `python` of the image.

    Apart from the package, because it is much larger and changes much less often: an image of a
    new version shares this layer with the former one.
    """
    prefix = root / PREFIX.lstrip("/")
    packages = _packages(root)
    _pip(packages, "--require-hashes", "--only-binary=:all:", "-r", str(requirements))
    shutil.rmtree(packages / "bin", ignore_errors=True)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").symlink_to(python)
    home = str(Path(python).parent)
    (prefix / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    for name in _NOT_NEEDED:
        for directory in sorted(packages.rglob(name)):
            shutil.rmtree(directory, ignore_errors=True)
    _drop_from_records(packages)
    compile_all(root, packages)
    settle(root)


def install_package(*, root: Path, wheels: Path, package: str) -> None:
    """Fill `root` with the package alone, out of the directory `wheels`, and its commands."""
    packages = _packages(root)
    _pip(packages, "--no-index", "--find-links", str(wheels), package)
    shutil.rmtree(packages / "bin", ignore_errors=True)
    commands = root / PREFIX.lstrip("/") / "bin"
    commands.mkdir()
    (installed,) = distributions(path=[str(packages)])
    for entry in installed.entry_points.select(group="console_scripts"):
        script = _SCRIPT.format(prefix=PREFIX, module=entry.module, function=entry.attr)
        (commands / entry.name).write_text(script)
        (commands / entry.name).chmod(0o755)
    _drop_from_records(packages)
    compile_all(root, packages)
    settle(root)


def compile_all(root: Path, directory: Path) -> None:
    """Write bytecode that is used without a look at the source, as seen from inside `root`."""
    options = ("-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/")
    command = [sys.executable, "-I", "-m", "compileall", *options, str(directory)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def settle(root: Path) -> None:
    """Give everything below `root` the same time and the modes that an image has."""
    for place in sorted(root.rglob("*"), reverse=True):
        if not place.is_symlink():
            runnable = place.is_dir() or place.stat().st_mode & 0o100
            place.chmod(0o755 if runnable else 0o644)
        os.utime(place, (EPOCH, EPOCH), follow_symlinks=False)
    os.utime(root, (EPOCH, EPOCH))


def _packages(root: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = root / PREFIX.lstrip("/") / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    return packages


def _drop_from_records(packages: Path) -> None:
    """Leave out of each RECORD what was removed; of a script it would tell whose Python it had."""
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        kept = [line for line in lines if (packages / line.split(",", 1)[0]).exists()]
        record.write_text("".join(kept))


def _pip(target: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--target", str(target), *arguments], check=True)


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    requirements = parts.add_parser("requirements", help="install what the package needs")
    requirements.add_argument("--requirements", type=Path, required=True, help="pins with hashes")
    requirements.add_argument("--python", required=True, help="path of Python in the image")
    package = parts.add_parser("package", help="install the package alone")
    package.add_argument("--wheels", type=Path, required=True, help="directory with the wheel")
    package.add_argument("--package", default="backstop")
    for part in (requirements, package):
        part.add_argument("--root", type=Path, required=True, help="directory to fill")
    options = vars(parser.parse_args())
    part = options.pop("part")
    (install_requirements if part == "requirements" else install_package)(**options)


if __name__ == "__main__":
    main()
