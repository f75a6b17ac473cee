"""A file system with Python and nothing else, out of distribution packages, without root.

`apt-get download` fetches them with the checks of apt; `dpkg-deb` unpacks them. What a container
does not use (documentation, the shell, package management) is not in it. Kept in the cache by the
names and versions of the packages, so each set is made once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from backstop_lab.binaries import cache_directory
from backstop_lab.errors import LabError
from backstop_lab.image import install

PACKAGES = (
    "base-files",
    "ca-certificates",
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libsqlite3-0",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "python3.11-minimal",
    "zlib1g",
)
PYTHON = "/usr/bin/python3.11"
USER = 65532

_UNUSED = (
    "etc/cron.d",
    "etc/default",
    "etc/dpkg",
    "etc/update-motd.d",
    "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/idlelib",
    "usr/lib/python3.11/lib2to3",
    "usr/sbin/update-ca-certificates",
    "usr/share/bash-completion",
    "usr/share/binfmts",
    "usr/share/common-licenses",
    "usr/share/doc",
    "usr/share/gcc",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
)
_PASSWD = f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}::/tmp:/sbin/nologin\n"
_GROUP = f"root:x:0:\nnonroot:x:{USER}:\n"


def ensure() -> Path:
    """Return the directory of the file system; makes it where it is missing. Raises LabError."""
    require()
    versions = candidates(PACKAGES)
    ways = Path(__file__).read_bytes() + Path(install.__file__).read_bytes()
    key = hashlib.sha256(repr(sorted(versions.items())).encode() + ways).hexdigest()[:12]
    target = cache_directory() / f"rootfs-{key}"
    if not target.is_dir():
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            _fill(unfinished, versions)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def candidates(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package that apt would install. Raises LabError if one lacks."""
    found: dict[str, str] = {}
    for block in _run("apt-cache", "policy", *packages).split("\n\n"):
        name = ""
        for line in block.splitlines():
            if not line.startswith(" "):
                name = line.rstrip(":")
            elif line.strip().startswith("Candidate:"):
                found[name] = line.split(":", 1)[1].strip()
    missing = [name for name in packages if found.get(name, "(none)") == "(none)"]
    if missing:
        raise LabError(f"apt knows no {', '.join(missing)}: `apt-get update`, on Debian 12.")
    return {name: found[name] for name in packages}


def require() -> None:
    """Raise LabError (code 2) where the packages of Debian 12 are not at hand."""
    needed = ("apt-get", "apt-cache", "dpkg-deb")
    missing = [name for name in needed if shutil.which(name) is None]
    if missing or sys.version_info[:2] != (3, 11):
        raise LabError(
            "The lab makes images out of the packages of Debian 12, with Python 3.11. "
            "Elsewhere, `make image` builds one with docker, podman or buildah.",
            exit_code=2,
        )


def _fill(root: Path, versions: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _run("apt-get", "download", *(f"{a}={b}" for a, b in versions.items()), where=scratch)
        for package in sorted(Path(scratch).glob("*.deb")):
            _run("dpkg-deb", "--extract", str(package), str(root))
    _write_certificates(root)
    for name in _UNUSED:
        place = root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    for name, content in (("passwd", _PASSWD), ("group", _GROUP)):
        (root / "etc" / name).write_text(content)
    (root / "usr/bin/python3").symlink_to("python3.11")
    install.compile_all(root, root / "usr/lib/python3.11")
    install.settle(root)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)


def _write_certificates(root: Path) -> None:
    """Join the authorities into one file, which the package's own script would do."""
    directory = root / "usr/share/ca-certificates"
    joined = "".join(one.read_text() for one in sorted(directory.rglob("*.crt")))
    target = root / "etc/ssl/certs/ca-certificates.crt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(joined)


def _run(*command: str, where: str | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=where)
    if done.returncode != 0:
        raise LabError(f"`{' '.join(command[:4])}` failed:\n{done.stderr.strip()}")
    return done.stdout
