"""`python -m backstop_lab.image`: wheel, bill of materials, runtime pins, and the image."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from backstop_lab.errors import LabError
from backstop_lab.image import closure, sbom, wheel
from backstop_lab.image.install import EPOCH

_BUILDERS = ("buildah", "podman", "docker")
_DIST = closure.ROOT / "dist"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m backstop_lab.image", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("wheel", help="build the wheel into dist/")
    actions.add_parser("sbom", help="write the bill of materials into dist/")
    actions.add_parser("constraints", help="write constraints-runtime.txt")
    tar = actions.add_parser("archive", help="write the image as a tar, without a builder")
    tar.add_argument("--name", default="backstop:dev")
    built = actions.add_parser("build", help="build the Dockerfile with what is installed")
    built.add_argument("--name", default=f"backstop:{wheel.version()}")
    built.add_argument("--base", default="", help="image with Python 3.11, best with its digest")
    built.add_argument("--build-base", default="", help="image of Debian 12 to build in")
    options = parser.parse_args(arguments)
    try:
        print(_run(options))
    except LabError as error:
        print(f"backstop: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> str:
    if options.action == "wheel":
        return str(wheel.build(_DIST))
    if options.action == "sbom":
        return _write(_DIST / f"backstop-{wheel.version()}.cdx.json", sbom.document())
    if options.action == "constraints":
        return _write(closure.RUNTIME, closure.generated())
    if options.action == "archive":
        return _archive(options.name)
    return _build(options.name, {"BASE": options.base, "BUILD_BASE": options.build_base})


def _write(target: Path, content: str) -> str:
    target.parent.mkdir(exist_ok=True)
    target.write_text(content)
    return str(target)


def _archive(name: str) -> str:
    from backstop_lab.image import build  # noqa: PLC0415 - the others need no packages of Debian

    _DIST.mkdir(exist_ok=True)
    made = build.backstop(_DIST / f"backstop-{wheel.version()}.image.tar", name)
    layers = "\n".join(f"  {one}" for one in made.layers)
    return f"{made.file}: {made.size / 1e6:.0f} MB in layers\n{layers}"


def _build(name: str, bases: Mapping[str, str]) -> str:
    builder = usable_builder()
    command = [*build_command(builder, name, bases), str(closure.ROOT)]
    if subprocess.run(command, check=False).returncode != 0:
        raise LabError(f"{builder} could not build the image; its words are above.")
    return f"{name} was built with {builder}."


def usable_builder() -> str:
    """Return the first builder of images that works here. Raises LabError (code 2) without one."""
    for name in _BUILDERS:
        if shutil.which(name) is not None:
            done = subprocess.run([name, "info"], capture_output=True, check=False)
            if done.returncode == 0:
                return name
    raise LabError(
        "No builder of images works here: install buildah or podman, or start Docker. For tests, "
        "`python -m backstop_lab.image archive` makes an image without one, on Debian 12.",
        exit_code=2,
    )


def build_command(builder: str, name: str, bases: Mapping[str, str]) -> list[str]:
    """Return the command line that builds the Dockerfile with all times fixed, but its context.

    ``bases`` has images in place of the Dockerfile's own, by its argument; an empty one changes
    nothing.
    """
    arguments = {"VERSION": wheel.version()}
    arguments |= {key: value for key, value in bases.items() if value}
    options = ["--tag", name]
    for key, value in arguments.items():
        options += ["--build-arg", f"{key}={value}"]
    if builder == "docker":
        fixed = ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"]
        exported = ["--output", f"type=docker,name={name},rewrite-timestamp=true"]
        return ["docker", "buildx", "build", *options, *fixed, *exported]
    # buildah would otherwise put requirements and package into one layer.
    return [builder, "build", *options, "--layers", "--timestamp", str(EPOCH)]


if __name__ == "__main__":
    sys.exit(main())
