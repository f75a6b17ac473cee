"""Runs the command line as ``python -m backstop``."""

from backstop.cli.main import main

main(prog_name="backstop")
