"""``backstop crds``: the custom resource definitions, for a cluster or for a repository."""

from pathlib import Path

import click

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--out",
    type=_DIRECTORY,
    help="Write one file per kind into this directory, instead of printing.",
)
@click.option("--docs", type=_DIRECTORY, hidden=True, help="Refresh the tables of the pages here.")
def crds(out: Path | None, docs: Path | None) -> None:
    """Print the CRDs, ready for `kubectl apply --server-side -f -`."""
    from backstop.api.crd import KINDS, crd_yaml

    if out is None and docs is None:
        click.echo("---\n".join(crd_yaml(kind) for kind in KINDS), nl=False)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"cannot make {out}: {error.strerror}") from None
        for kind in KINDS:
            _write(out / kind.file_name, crd_yaml(kind))
    if docs is not None:
        _refresh(docs)


def _refresh(docs: Path) -> None:
    from backstop.api.crd import KINDS
    from backstop.api.reference import page_name, with_tables

    for kind in KINDS:
        page = docs / page_name(kind)
        _write(page, with_tables(page.read_text(encoding="utf-8"), kind))


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    click.echo(file)
