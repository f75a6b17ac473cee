"""The command ``backstop``: a group whose commands live in one module each.

Commands import what they need when they run, so that help and shell completion answer at once.
"""

import sys
from pathlib import Path

import click

from backstop import __version__
from backstop.cli.approve import approve
from backstop.cli.backtest import backtest
from backstop.cli.candidate import candidate
from backstop.cli.check import check
from backstop.cli.crds import crds
from backstop.cli.doctor import doctor
from backstop.cli.explain import explain
from backstop.cli.reference import reference
from backstop.cli.respond import respond
from backstop.cli.run import run
from backstop.cli.runbook import runbook
from backstop.cli.stand_down import stand_down


@click.group("backstop", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="backstop %(version)s")
def main() -> None:
    """Keep a failing machine-learning model from hurting its users."""


for _command in (
    approve,
    backtest,
    candidate,
    check,
    crds,
    doctor,
    explain,
    reference,
    respond,
    run,
    runbook,
    stand_down,
):
    main.add_command(_command)


def start() -> None:
    """Run the command line, under the name by which it was called."""
    main(prog_name=shown_name(sys.argv[0]))


def shown_name(program: str) -> str:
    """Return what a person types for a program: kubectl finds `kubectl-backstop` as a plugin."""
    return "kubectl backstop" if Path(program).name == "kubectl-backstop" else "backstop"
