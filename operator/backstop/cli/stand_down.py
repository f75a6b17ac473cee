"""``backstop stand-down``: leave a cluster in a good state before Backstop is uninstalled."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backstop.cli.values import DURATION

if TYPE_CHECKING:
    from backstop.runtime.stand_down import Plan


@click.command("stand-down")
@click.option(
    "--deployment", "deployments", multiple=True, help="Scale this to 0; may be repeated."
)
@click.option("--config", type=click.Path(path_type=Path), help="Not read; as for run.")
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Only monitors in this.")
@click.option(
    "--lease-namespace",
    default="default",
    show_default=True,
    help="Where the lease and the kill switch are; with Helm, that of the release.",
)
@click.option("--lease-name", default="backstop", show_default=True)
@click.option("--shards", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--timeout", type=DURATION, default="180s", show_default=True, help="For the replicas to stop."
)
@click.option("--kubeconfig", metavar="FILE", help="Default: in-cluster, else $KUBECONFIG.")
@click.option("--context", help="Context of the kubeconfig.")
def stand_down(
    *,
    deployments: tuple[str, ...],
    config: Path | None,  # noqa: ARG001 - the chart gives all commands the same options
    namespaces: tuple[str, ...],
    lease_namespace: str,
    lease_name: str,
    shards: int,
    timeout: str,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Stop all replicas, put all traffic back, and let go of all monitors.

    Run before an uninstall; the chart does, as a hook. Monitors stay, and are watched again once
    Backstop is installed again. Exits with 1 when traffic could not be put back, and says where.
    """
    from backstop.core.shards import leases
    from backstop.core.units import seconds
    from backstop.ports import OutsideError
    from backstop.runtime.stand_down import Plan

    plan = Plan(
        home=lease_namespace,
        deployments=deployments,
        leases=leases(lease_name, shards),
        namespaces=namespaces,
        timeout=seconds(timeout),
    )
    try:
        left = asyncio.run(_stand_down(plan, kubeconfig, context))
    except OutsideError as error:
        raise click.ClickException(str(error)) from None
    if left:
        listed = "\n".join(f"  {one}" for one in left)
        raise click.ClickException(f"look after the traffic of:\n{listed}")


async def _stand_down(plan: "Plan", kubeconfig: str | None, context: str | None) -> list[str]:
    from backstop.adapters.kube import KubernetesApi
    from backstop.runtime.stand_down import stand_down as carry_out

    api = await KubernetesApi.connect(kubeconfig=kubeconfig, context=context)
    try:
        return await carry_out(api, plan, click.echo)
    finally:
        await api.close()
