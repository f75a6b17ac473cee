"""``backstop explain``: what a monitor sees, what it would do now, and why.

Changes nothing, neither in the cluster nor in what the operator knows.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backstop.cli.kube import Access, ask, cluster_options, read_monitor

if TYPE_CHECKING:
    from backstop.core.explain_page import Seen
    from backstop.ports import KubeApi
    from backstop.runtime.config import OperatorConfig

_WIDTH_OF_A_FILE = 100
_NARROWEST = 60


@click.command()
@click.argument("monitor", metavar="MONITOR")
@click.option("--prometheus", metavar="URL", help="The metrics source named default.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The operator's configuration, with sources and limits.",
)
@click.option(
    "--lease-namespace",
    default="default",
    show_default=True,
    help="Where the lease and the kill switch are; with Helm, that of the release.",
)
@cluster_options
def explain(
    *,
    monitor: str,
    prometheus: str | None,
    config: Path | None,
    lease_namespace: str,
    **place: str | None,
) -> None:
    """Say what MONITOR sees, what it would do now, and why.

    With a metrics source it takes a look of its own, exactly as the operator does, and decides, but
    performs nothing. Without one it tells what the operator wrote into the status.
    """
    loaded = _loaded(config, prometheus)

    async def work(api: "KubeApi", namespace: str) -> "Seen":
        from backstop.cli.explain_look import by_look, by_status

        body = await read_monitor(api, namespace, monitor)
        if loaded is None:
            return await by_status(api, body)
        return await by_look(api, body, loaded, lease_namespace)

    from rich.console import Console

    from backstop.core.explain_page import lines

    seen = ask(Access(**place), work)
    width = max(_NARROWEST, Console().width) if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    for line in lines(seen, width):
        click.echo(line)


def _loaded(config: Path | None, prometheus: str | None) -> "OperatorConfig | None":
    from backstop.runtime.config import ConfigError, load

    if config is None and prometheus is None:
        return None
    try:
        return load(config, prometheus)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
