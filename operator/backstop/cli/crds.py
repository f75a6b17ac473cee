"""``backstop crds``: the custom resource definitions, for a cluster or for a repository."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file per kind into this directory, instead of printing.",
)
def crds(out: Path | None) -> None:
    """Print the CRDs, ready for `kubectl apply --server-side -f -`."""
    from backstop.api.crd import KINDS, crd_yaml

    if out is None:
        click.echo("---\n".join(crd_yaml(kind) for kind in KINDS), nl=False)
        return
    out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (out / kind.file_name).write_text(crd_yaml(kind), encoding="utf-8")
        click.echo(out / kind.file_name)
