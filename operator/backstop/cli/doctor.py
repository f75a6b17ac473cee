"""``backstop doctor``: whether this installation is able to do its work."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backstop.runtime.config import OperatorConfig
    from backstop.runtime.doctor import Finding


@click.command()
@click.option("--prometheus", metavar="URL", help="The metrics source named default.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The operator's configuration.",
)
@click.option("-n", "--namespace", "namespaces", multiple=True, help="That is watched; repeatable.")
@click.option(
    "--lease-namespace",
    default="default",
    show_default=True,
    help="Where the lease and the kill switch are; with Helm, that of the release.",
)
@click.option("--lease-name", default="backstop", show_default=True)
@click.option("--shards", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option("--url", default="", metavar="URL", help="Where the operator answers /readyz.")
@click.option(
    "--dry-run-namespace",
    default="",
    metavar="NAME",
    help="Ask whether a monitor would be accepted here.",
)
@click.option("--kubeconfig", metavar="FILE", help="Default: in-cluster, else $KUBECONFIG.")
@click.option("--context", help="Context of the kubeconfig.")
def doctor(
    *,
    prometheus: str | None,
    config: Path | None,
    namespaces: tuple[str, ...],
    lease_namespace: str,
    lease_name: str,
    shards: int,
    url: str,
    dry_run_namespace: str,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Look at definitions, rights, lease and metrics sources, and say what to change.

    Asks with the credentials it is run with: as `helm test`, those of the operator. Changes
    nothing. Exits with 1 when something is wrong.
    """
    from backstop.core.shards import leases
    from backstop.ports import OutsideError
    from backstop.runtime import logs
    from backstop.runtime.config import ConfigError, load

    logs.configure("console", "error")
    try:
        loaded = load(config, prometheus)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    place = (lease_namespace, leases(lease_name, shards), url, dry_run_namespace)
    try:
        found = asyncio.run(_look(loaded, namespaces, place, kubeconfig, context))
    except OutsideError as error:
        raise click.ClickException(str(error)) from None
    wrong = sum(bool(one.problem) for one in found)
    if wrong:
        raise click.ClickException(f"{wrong} of {len(found)} findings need somebody")


async def _look(
    config: "OperatorConfig",
    namespaces: tuple[str, ...],
    place: tuple[str, tuple[str, ...], str, str],
    kubeconfig: str | None,
    context: str | None,
) -> "list[Finding]":
    from backstop.adapters.kube import KubernetesApi
    from backstop.runtime.doctor import Doctor
    from backstop.runtime.options import sources_of

    api = await KubernetesApi.connect(kubeconfig=kubeconfig, context=context)
    sources = sources_of(config)
    found: list[Finding] = []
    try:
        looks = Doctor(api, config, dict(sources), namespaces, *place)
        async for one in looks.findings():
            found.append(one)
            mark = "WRONG" if one.problem else "ok   "
            click.echo(f"{mark}  {one.subject}: {one.problem or one.note}")
    finally:
        for source in sources.values():
            await source.close()
        await api.close()
    return found
