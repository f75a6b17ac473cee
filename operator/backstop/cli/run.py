"""``backstop run``: the operator itself."""

import asyncio
import sys
from pathlib import Path

import click


@click.command()
@click.option("--prometheus", metavar="URL", help="The metrics source named default.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with sources and limits.",
)
@click.option("--kubeconfig", metavar="FILE", help="Default: in-cluster, else $KUBECONFIG.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option(
    "-n", "--namespace", "namespaces", multiple=True, help="Watch only this; may be repeated."
)
@click.option(
    "--lease-namespace",
    default="default",
    show_default=True,
    help="Where the lease and the kill switch are.",
)
@click.option("--lease-name", default="backstop", show_default=True)
@click.option(
    "--shard",
    metavar="I/N",
    default="0/1",
    show_default=True,
    help="Act on the monitors of shard I (from 0 to N-1) of N only; its lease is NAME-I.",
)
@click.option("--health-host", default="0.0.0.0", show_default=True)  # noqa: S104 - for probes
@click.option("--health-port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
def run(
    *,
    prometheus: str | None,
    config: Path | None,
    kubeconfig: str | None,
    context: str | None,
    namespaces: tuple[str, ...],
    lease_namespace: str,
    lease_name: str,
    shard: str,
    health_host: str,
    health_port: int,
    log_format: str,
    log_level: str,
) -> None:
    """Watch ModelMonitors and act on them.

    Needs a metrics source: --prometheus URL, or --config FILE with `sources`.

    Of all replicas with the same lease one acts, and the others stand by, warm. Where one is not
    enough for all monitors, --shard divides them among several that act.
    """
    from backstop.core.shards import Shard
    from backstop.ports import OutsideError
    from backstop.runtime import logs, operator
    from backstop.runtime.config import ConfigError, load
    from backstop.runtime.options import Options

    try:
        part = Shard.parse(shard)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from None
    logs.configure("json" if log_format == "json" else "console", log_level)
    try:
        options = Options(
            config=load(config, prometheus),
            kubeconfig=kubeconfig,
            context=context,
            namespaces=namespaces,
            lease_namespace=lease_namespace,
            lease_name=lease_name,
            shard=part,
            health_host=health_host,
            health_port=health_port,
        )
        code = asyncio.run(operator.run(options))
    except (ConfigError, OutsideError) as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)
