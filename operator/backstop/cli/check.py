"""``backstop check``: finds mistakes in ModelMonitors and Runbooks without a cluster.

The exit status is 0 when all of them are good, and 1 when there is anything to change, also when
there was nothing to check.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import click


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
def check(files: tuple[str, ...]) -> None:
    """Check the ModelMonitors and Runbooks in FILE... (YAML; - is the standard input).

    Other kinds of objects in the files are passed over.
    """
    checked = problems = 0
    for path in files:
        for name, found in check_file(path):
            checked += name is not None
            problems += len(found)
            subject = ": ".join(filter(None, ("stdin" if path == "-" else path, name)))
            for line in found or ["ok"]:
                click.echo(f"{subject}: {line}")
    if checked == 0 and problems == 0:
        click.echo("no ModelMonitor and no Runbook found: is this the right file?")
    if checked == 0 or problems:
        raise SystemExit(1)


def check_file(path: str) -> Iterator[tuple[str | None, list[str]]]:
    """Yield the name of each object with its problems; ``None`` stands for the file itself."""
    try:
        manifests = list(objects(documents(path)))
    except ValueError as error:
        yield None, [str(error)]
        return
    for manifest in manifests:
        yield from _check_object(manifest)


def documents(path: str) -> list[Any]:
    """Return the YAML documents in the file ``path``, ``-`` being the standard input.

    Raises:
        ValueError: it is not YAML; the message says where.
    """
    from backstop.runtime.manifests import load

    with click.open_file(path, "rb") as file:
        return load(file.read())


def objects(found: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the documents ``found``, those in lists one by one."""
    for document in found:
        if not isinstance(document, Mapping):
            continue
        if str(document.get("kind")).endswith("List"):
            items = document.get("items")
            yield from objects(items if isinstance(items, list) else [])
        else:
            yield document


def _check_object(manifest: Mapping[str, Any]) -> Iterator[tuple[str | None, list[str]]]:
    from backstop.api import GROUP
    from backstop.api.crd import KINDS
    from backstop.api.problems import CHECKED, find_problems

    kind = str(manifest.get("kind") or "")
    metadata = manifest.get("metadata")
    name = (
        f"{kind or 'object'} {metadata.get('name', '?') if isinstance(metadata, Mapping) else '?'}"
    )
    if kind in CHECKED:
        yield name, [f"{one.path}: {one.message}" for one in find_problems(manifest)]
    elif str(manifest.get("apiVersion")).startswith(f"{GROUP}/"):
        kinds = [one.name for one in KINDS]
        if kind not in kinds:
            what = f'"{kind}" is not known' if kind else "is missing"
            yield name, [f"kind: {what}; write {' or '.join(kinds)}"]
