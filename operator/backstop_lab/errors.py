"""The one exception a person sees: its text says what went wrong and what to do about it."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot go on. `exit_code` is the process's: 1, or 2 for an unfit machine."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
