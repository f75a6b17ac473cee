"""The script of a fake API's faults: which request goes wrong, and how."""

import re
from dataclasses import dataclass


@dataclass(slots=True)
class Fault:
    """What happens to the ``nth`` request (from 1) of ``verb`` whose path matches ``path``.

    A ``status`` answers instead of the server; ``delay`` (seconds) comes before anything else;
    ``reset`` cuts the connection ``"before"`` or ``"after"`` the request has taken effect.
    """

    verb: str
    path: str
    nth: int = 1
    status: int = 0
    message: str = "made to fail"
    retry_after: str = ""
    delay: float = 0.0
    reset: str = ""
    seen: int = 0

    def strikes(self, verb: str, path: str) -> bool:
        """Count the request if it is one of ours, and return whether it is the nth."""
        if verb != self.verb or re.search(self.path, path) is None:
            return False
        self.seen += 1
        return self.seen == self.nth
