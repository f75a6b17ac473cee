"""``backstop check``: finds mistakes in ModelMonitors without a cluster.

The exit status is 0 when every ModelMonitor is good, and 1 when there is anything to change, also
when there was nothing to check.
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
    """Check the ModelMonitors in FILE... (YAML; - is the standard input).

    Other kinds of objects in the files are passed over.
    """
    monitors = problems = 0
    for path in files:
        for name, found in check_file(path):
            monitors += name is not None
            problems += len(found)
            subject = ": ".join(filter(None, ("stdin" if path == "-" else path, name)))
            for line in found or ["ok"]:
                click.echo(f"{subject}: {line}")
    if monitors == 0 and problems == 0:
        click.echo("no ModelMonitor found: is this the right file?")
    if monitors == 0 or problems:
        raise SystemExit(1)


def check_file(path: str) -> Iterator[tuple[str | None, list[str]]]:
    """Yield the name of each monitor with its problems; ``None`` stands for the file itself."""
    import yaml

    try:
        with click.open_file(path, "rb") as file:
            documents = list(yaml.load_all(file, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        yield None, [f"line {line} is not valid YAML: {error.problem}"]
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield None, [f"is not valid YAML: {error}"]
        return
    for manifest in objects(documents):
        yield from _check_object(manifest)


def objects(documents: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in ``documents``, those in lists one by one."""
    for document in documents:
        if not isinstance(document, Mapping):
            continue
        if str(document.get("kind")).endswith("List"):
            yield from objects(document.get("items") or [])
        else:
            yield document


def _check_object(manifest: Mapping[str, Any]) -> Iterator[tuple[str | None, list[str]]]:
    from backstop.api import GROUP
    from backstop.api.crd import KINDS, MODEL_MONITOR
    from backstop.api.problems import find_problems

    kind = str(manifest.get("kind"))
    metadata = manifest.get("metadata")
    name = f"{kind} {metadata.get('name', '?') if isinstance(metadata, Mapping) else '?'}"
    if kind == MODEL_MONITOR.name:
        yield name, [f"{one.path}: {one.message}" for one in find_problems(manifest)]
    elif str(manifest.get("apiVersion")).startswith(f"{GROUP}/"):
        kinds = [one.name for one in KINDS]
        if kind not in kinds:
            yield name, [f'kind: "{kind}" is not known; write {" or ".join(kinds)}']
