"""Which of several active replicas acts on which monitor.

A monitor belongs to a shard by a hash of its namespace and name and by nothing else, so that all
replicas agree without asking each other. For each number of shards every monitor is in exactly one.
Another number moves monitors: then the old replicas are stopped before the new ones start, and
where two act all the same, their writes carry preconditions (docs/adr/0007).
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

MOST: Final = 100
"""How many shards there may be."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Number ``index``, counted from 0, of ``count`` shards."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a shard that cannot be.

        Raises:
            ValueError: in words that say what to write instead.
        """
        if not 1 <= self.count <= MOST:
            raise ValueError(f"write a number of shards from 1 to {MOST}, not {self.count}")
        if not 0 <= self.index < self.count:
            said = f"shards are numbered from 0: of {self.count} the last is"
            raise ValueError(f"{said} {self.count - 1}/{self.count}, not {self.index}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that ``I/N`` names.

        Raises:
            ValueError: there is none.
        """
        parts = text.split("/")
        if len(parts) != 2 or not all(one.isascii() and one.isdigit() for one in parts):  # noqa: PLR2004
            raise ValueError(f"write the shard as I/N, for example 0/3, not {text!r}")
        return cls(int(parts[0]), int(parts[1]))

    def owns(self, namespace: str, name: str) -> bool:
        """Return whether the monitor is of this shard."""
        return shard_of(namespace, name, self.count) == self.index

    def lease(self, name: str) -> str:
        """Return the name of this shard's lease, where that of an only replica is ``name``."""
        return name if self.count == 1 else f"{name}-{self.index}"

    def __str__(self) -> str:
        """Return the shard as it is written: ``I/N``."""
        return f"{self.index}/{self.count}"


ALL: Final = Shard()
"""The shard of all monitors, where one replica acts on them."""


def leases(name: str, count: int) -> tuple[str, ...]:
    """Return the names of the leases of all ``count`` shards."""
    return tuple(Shard(index, count).lease(name) for index in range(count))


def shard_of(namespace: str, name: str, count: int) -> int:
    """Return the shard, of ``count``, that the monitor belongs to."""
    if count == 1:
        return 0
    digest = hashlib.blake2b(f"{namespace}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
