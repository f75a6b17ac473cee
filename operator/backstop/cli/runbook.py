"""``backstop runbook``: what is to be done in an incident, as a page for people.

Reads the cluster, or without one the manifests that are to be applied, so that a runbook can be
read over before it holds.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from backstop.cli.kube import Access, ask, cluster_options, read_monitor

if TYPE_CHECKING:
    from backstop.core.runbook_page import Page
    from backstop.ports import KubeApi

_CAUSES = ("data", "model", "infrastructure", "release")
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.group()
def runbook() -> None:
    """Show what is to be done in an incident."""


@runbook.command()
@click.argument("monitor", metavar="[MONITOR]", required=False)
@click.option("--cause", type=click.Choice(_CAUSES), help="Only the steps for this cause.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=_FILE,
    help="Read this instead of a cluster; may be repeated, for the Runbook beside the monitor.",
)
@click.option(
    "--output",
    type=click.Choice(["terminal", "markdown"]),
    help="How to show it.  [default: terminal on a terminal, else markdown]",
)
@cluster_options
def show(
    *,
    monitor: str | None,
    cause: str | None,
    files: tuple[str, ...],
    output: str | None,
    **place: str | None,
) -> None:
    """Show the runbook of MONITOR: its steps, cause by cause, and how far an incident has come.

    With --file, MONITOR may be left out where the files hold only one.
    """
    from backstop.api.words import Cause
    from backstop.core.runbook_page import lines

    access = Access(**place)
    if files:
        page = _page_of_files(files, monitor, access.namespace)
    elif monitor is None:
        raise click.UsageError("name a MONITOR, or files with --file")
    else:
        page = _page_of_cluster(access, monitor)
    text = list(lines(page, tuple(Cause) if cause is None else (Cause(cause),)))
    _print(text, output or ("terminal" if sys.stdout.isatty() else "markdown"))


def _print(lines: Iterable[str], output: str) -> None:
    text = "\n".join(lines)
    if output == "markdown":
        click.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def _page_of_cluster(access: Access, name: str) -> "Page":
    async def work(api: "KubeApi", namespace: str) -> "Page":
        return await page_of(api, await read_monitor(api, namespace, name))

    return ask(access, work)


async def page_of(api: "KubeApi", body: dict[str, Any]) -> "Page":
    """Return the page about the monitor ``body``, with its Runbook as the cluster has it.

    Raises:
        ClickException: the spec is not valid.
    """
    from backstop.core.promotion import effective_spec
    from backstop.core.runbook_page import Page
    from backstop.runtime.record import record_of
    from backstop.runtime.runbooks import Runbooks

    record = record_of(body, {})
    if record.spec is None:
        said = record.invalid.message if record.invalid else "its spec is not valid"
        raise click.ClickException(f"{record.name}: {said}")
    known = await Runbooks(api).of(record)
    return Page(
        namespace=record.namespace,
        monitor=record.name,
        spec=effective_spec(record.spec, record.status),
        runbook=known.steps,
        source=known.name,
        description=getattr(known.steps, "description", ""),
        problem=known.problem.message if known.problem else "",
        status=record.status,
    )


def _page_of_files(files: tuple[str, ...], name: str | None, namespace: str | None) -> "Page":
    from backstop.api.modelmonitor import ModelMonitorSpec
    from backstop.api.runbook import RunbookSpec, RunbookUse
    from backstop.core.runbook_page import Page

    found = list(_objects(files))
    manifest = _chosen([one for one in found if one["kind"] == "ModelMonitor"], name)
    spec = ModelMonitorSpec.model_validate(manifest["spec"])
    metadata = manifest["metadata"]
    page = Page(namespace or metadata.get("namespace") or "default", metadata["name"], spec)
    if spec.runbook.name is None:
        own = spec.runbook if spec.runbook != RunbookUse() else None
        return _with(page, runbook=own, source="inline" if own else "built-in")
    for one in found:
        if one["kind"] == "Runbook" and one["metadata"]["name"] == spec.runbook.name:
            steps = RunbookSpec.model_validate(one["spec"])
            described = steps.description
            return _with(page, runbook=steps, source=spec.runbook.name, description=described)
    problem = f"Runbook {spec.runbook.name} is in none of the files; name its file with --file"
    return _with(page, problem=problem)


def _with(page: "Page", **changes: Any) -> "Page":
    from dataclasses import replace

    return replace(page, **changes)


def _objects(files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the ModelMonitors and Runbooks in ``files``.

    Raises:
        ClickException: there is something to change in one of them.
    """
    from backstop.api.problems import CHECKED, find_problems
    from backstop.cli.check import documents, objects

    for path in files:
        try:
            found = [dict(one) for one in objects(documents(path))]
        except ValueError as error:
            raise click.ClickException(f"{path}: {error}") from None
        for one in found:
            if one.get("kind") not in CHECKED:
                continue
            for problem in find_problems(one):
                raise click.ClickException(
                    f"{path}: {problem.path}: {problem.message}; `backstop check` finds all of it"
                )
            yield one


def _chosen(monitors: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    names = [one["metadata"]["name"] for one in monitors]
    chosen = [one for one in monitors if name in {None, one["metadata"]["name"]}]
    if not monitors:
        raise click.ClickException("no ModelMonitor found: is this the right file?")
    if not chosen:
        raise click.ClickException(f"no ModelMonitor {name} in the files; they hold {_said(names)}")
    if len(chosen) > 1:
        raise click.ClickException(f"the files hold {_said(names)}: name one of them")
    return chosen[0]


def _said(names: list[str]) -> str:
    return f"the monitors {', '.join(names)}" if len(names) > 1 else f"the monitor {names[0]}"
