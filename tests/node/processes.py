"""What the kernel of the node says of the processes in a pod."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process by what /proc tells, from outside of its container."""

    pid: int
    fields: dict[str, str]

    @property
    def users(self) -> set[int]:
        """Real, effective, saved and file system user."""
        return {int(one) for one in self.fields["Uid"].split()}

    @property
    def megabytes(self) -> float:
        """Memory that is resident."""
        return int(self.fields["VmRSS"].split()[0]) / 1000

    @property
    def root_is_read_only(self) -> bool:
        """Whether the file system at / is mounted read-only."""
        mounts = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        (options,) = (line.split()[5] for line in mounts if line.split()[4] == "/")
        return "ro" in options.split(",")


def running(*words: str) -> list[Process]:
    """Return the processes whose command line has these words, one after the other."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().split(b"\0")
            status = (place / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        wanted = [one.encode() for one in words]
        if any(command[at : at + len(wanted)] == wanted for at in range(len(command))):
            pairs = (line.split(":", 1) for line in status.splitlines())
            fields = {name: value.strip() for name, value in pairs}
            found.append(Process(int(place.name), fields))
    return found
