"""What a person types after an option; a wrong value is told before any work begins."""

import os
from pathlib import Path
from typing import Any

import click


class _Duration(click.ParamType[str]):
    """A duration as in a spec."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value`` if it is a duration."""
        from backstop.core.units import seconds

        try:
            seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class _NewFile(click.Path):
    """A file to write, in a directory that is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return ``value`` if such a file can be written."""
        path = Path(str(super().convert(value, param, ctx)))
        parent = path.parent
        if not parent.is_dir():
            self.fail(f"there is no directory {parent}: make it first", param, ctx)
        if not path.exists() and not os.access(parent, os.W_OK):
            self.fail(f"the directory {parent} may not be written to", param, ctx)
        return path


DURATION = _Duration()
NEW_FILE = _NewFile(dir_okay=False, writable=True, path_type=Path)
