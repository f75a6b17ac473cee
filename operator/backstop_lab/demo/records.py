"""What users saw: one record per request, in a file, and the arithmetic on them.

The file is the interface between the load process and everyone else. Times are Unix seconds at
which the request was due, so a server that stalls cannot hide by delaying the next request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NO_ANSWER = 0
"""The status of a request that got no answer in time."""
DROPPED = -1
"""The status of a request that was not sent, because too many others still waited."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request: when it was due, its HTTP status, its seconds, and who answered."""

    start: float
    status: int
    seconds: float
    version: str = ""
    served_by: str = ""

    @property
    def failed(self) -> bool:
        """Whether the user got no usable answer: a 5xx, none in time, or none at all."""
        return self.status >= 500 or self.status <= NO_ANSWER

    def to_line(self) -> str:
        """Return the record as a line of the file."""
        numbers = f"{self.start:.4f},{self.status},{self.seconds:.4f}"
        return f"{numbers},{self.version},{self.served_by}\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read a line of the file. Raises ValueError if it is not one."""
        start, status, seconds, version, served_by = line.rstrip("\n").split(",")
        return cls(float(start), int(status), float(seconds), version, served_by)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests there were, and how many of them failed."""

    requests: int
    failed: int

    @property
    def ratio(self) -> float:
        """The share that failed, in [0, 1]; 0 without requests."""
        return self.failed / self.requests if self.requests else 0.0


def tally(records: Iterable[Record], since: float, until: float) -> Tally:
    """Count the requests that were due at or after `since` and before `until`."""
    found = [record.failed for record in records if since <= record.start < until]
    return Tally(len(found), sum(found))


def first_failure(records: Iterable[Record], since: float) -> float | None:
    """Return when the first request that failed at or after `since` was due, or None."""
    failures = (record.start for record in records if record.failed and record.start >= since)
    return min(failures, default=None)


def ratio_over_time(
    records: Iterable[Record], since: float, until: float, width: float
) -> list[tuple[float, float]]:
    """Return (seconds after `since`, share that failed) for each bin of `width` seconds.

    The time is the middle of its bin. Bins without requests are left out.
    """
    bins: dict[int, list[bool]] = {}
    for record in records:
        if since <= record.start < until:
            bins.setdefault(int((record.start - since) / width), []).append(record.failed)
    return [
        ((index + 0.5) * width, sum(failed) / len(failed)) for index, failed in sorted(bins.items())
    ]


class RecordReader:
    """Follows the file while it grows, keeping all records in memory in order of their answers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = ""
        self._records: list[Record] = []

    def read(self) -> Sequence[Record]:
        """Return all records up to now. A line that is not finished yet is left for later."""
        if not self._path.exists():
            return self._records
        with self._path.open() as file:
            file.seek(self._position)
            text = file.read()
            self._position = file.tell()
        *lines, self._rest = (self._rest + text).split("\n")
        self._records.extend(Record.from_line(line) for line in lines)
        return self._records

    def recent(self, seconds: float, now: float) -> Tally:
        """Count the requests that were due in the last `seconds` before `now`."""
        found: list[bool] = []
        for record in reversed(self.read()):
            if record.start < now - seconds - _LONGEST_ANSWER:
                break
            if now - seconds <= record.start < now:
                found.append(record.failed)
        return Tally(len(found), sum(found))


_LONGEST_ANSWER = 3.0
