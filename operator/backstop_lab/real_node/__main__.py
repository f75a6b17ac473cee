"""`python -m backstop_lab.real_node COMMAND ...`: runs a command beside a cluster with a real node.

Needs root, and exits with code 2 and a sentence where the machine does not allow it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from backstop_lab import namespace
from backstop_lab.errors import LabError
from backstop_lab.image import build, rootfs
from backstop_lab.real_node import machine, programs

UNFIT = 2
"""Exit code where the machine does not allow a real node."""
_LINE = "=" * 80


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m backstop_lab.real_node")
    parser.add_argument("--keep-logs", type=Path, metavar="DIR", help="write all logs to DIR")
    parser.add_argument(
        "--or-skip", action="store_true", help="where the machine is unfit, say so and succeed"
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after `--`")
    options = parser.parse_args()
    try:
        found = _ready()
    except LabError as error:
        if options.or_skip and error.exit_code == UNFIT:
            print(f"{_LINE}\nSKIPPED, no real node here: {error}\n{_LINE}", file=sys.stderr)
            return 0
        print(f"backstop-lab: {error}", file=sys.stderr)
        return error.exit_code
    try:
        module = "backstop_lab.real_node.lab"
        return namespace.run(found, options.command, options.keep_logs, lab=module, as_root=True)
    finally:
        machine.remove_group()


def _ready() -> dict[str, Path]:
    """Return the programs, with everything made that needs a network. Raises LabError."""
    if refusal := machine.refusal():
        raise LabError(refusal, exit_code=UNFIT)
    distribution = programs.distribution_programs()
    rootfs.require()
    found = {**programs.ensure(), **distribution}
    build.ensure_layers()
    return found


if __name__ == "__main__":
    sys.exit(main())
