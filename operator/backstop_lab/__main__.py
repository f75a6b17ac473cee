"""The lab's command line: `python -m backstop_lab exec -- COMMAND ...` and `... build`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from backstop_lab.errors import LabError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        from backstop_lab import build, namespace  # noqa: PLC0415 - `--help` answers without

        programs = build.ensure_all()
        if options.action == "build":
            return _build_more(options.more)
        return namespace.run(programs, options.command, options.keep_logs)
    except LabError as error:
        print(f"backstop-lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _build_more(names: list[str]) -> int:
    from backstop_lab import build  # noqa: PLC0415
    from backstop_lab.binaries import MORE  # noqa: PLC0415

    for name in names:
        if name not in MORE:
            raise LabError(f"{name} is none of {', '.join(MORE)}")
        build.ensure(MORE[name])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backstop_lab",
        description="A real Kubernetes cluster on this machine, for as long as one command runs.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    builds = actions.add_parser("build", help="build the cluster's programs and stop")
    builds.add_argument(
        "more",
        nargs="*",
        metavar="PROGRAM",
        help="also this: helm or kind",
    )
    execute = actions.add_parser(
        "exec",
        help="run a command beside a fresh cluster",
        description=(
            "Runs COMMAND with KUBECONFIG, LAB_GATEWAY_URL, LAB_PROMETHEUS_URL and LAB_DIR set, "
            "and returns its exit code. `exec -- bash` gives a shell."
        ),
    )
    execute.add_argument(
        "--keep-logs", type=Path, metavar="DIR", help="write all logs to DIR, where they stay"
    )
    execute.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after `--`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
