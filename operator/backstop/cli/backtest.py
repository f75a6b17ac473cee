"""``backstop backtest``: what a monitor would have done, from the record of a Prometheus.

The exit status is 0 also where there would have been incidents; 1 where nothing could be judged.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstop.cli.values import DURATION, NEW_FILE

if TYPE_CHECKING:
    from backstop.adapters.metrics.past import Past
    from backstop.core.backtest import Watched
    from backstop.core.backtest_report import KnownFault, Report, Span
    from backstop.core.samples import Reading

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_WIDTH_OF_A_FILE = 100
_PLAIN_STEPS = 10


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--prometheus", metavar="URL", required=True, help="Where the record is.")
@click.option("--last", type=DURATION, default="14d", show_default=True, help="How far back.")
@click.option("--end", metavar="TIME", help="ISO 8601, local without an offset.  [default: now]")
@click.option("--step", type=DURATION, help="Time between looks.  [default: spec.interval]")
@click.option("--known", type=_FILE, help="YAML file with the faults there really were.")
@click.option(
    "--brief",
    type=DURATION,
    default="2m",
    show_default=True,
    help="How briefly a doubtful breach lasts.",
)
@click.option(
    "--reaction",
    type=DURATION,
    default="2s",
    show_default=True,
    help="From a decision until it takes effect; requests before that are not saved.",
)
@click.option(
    "--reference",
    "reference_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="File with a ConfigMap that a signal names; FILE itself is looked at, too.",
)
@click.option("-n", "--namespace", help="Of the monitor.  [default: as written, or default]")
@click.option("--monitor", "name", metavar="NAME", help="Which one, where FILE holds several.")
@click.option("--bearer-token-file", type=_FILE, help="For a Prometheus that asks for a token.")
@click.option("--ca-file", type=_FILE, help="For a Prometheus with a private certificate.")
@click.option("--json", "json_file", type=NEW_FILE, help="Write all that was found as JSON.")
@click.option("--png", "png_file", type=NEW_FILE, help="Draw the signals (needs matplotlib).")
def backtest(
    *,
    file: str,
    prometheus: str,
    last: str,
    end: str | None,
    step: str | None,
    known: Path | None,
    brief: str,
    reaction: str,
    reference_files: tuple[str, ...],
    namespace: str | None,
    name: str | None,
    bearer_token_file: Path | None,
    ca_file: Path | None,
    json_file: Path | None,
    png_file: Path | None,
) -> None:
    """Show what the ModelMonitor in FILE would have done, before it is switched on.

    Reads the past from a Prometheus and judges it as the operator would: when it would have acted,
    on what evidence, and how many bad requests that would have spared. With --known it also tells
    how often it would have been wrong. Without, an incident is called doubtful if its breach ended
    by itself within --brief of the decision; whether it was wrong is then not known.
    """
    from backstop.adapters.metrics.past import PAST_ACCESS, Past
    from backstop.api.modelmonitor import ModelMonitorSpec
    from backstop.cli import backtest_input
    from backstop.core.backtest import watch
    from backstop.core.inquiry import inquiries
    from backstop.core.units import seconds

    manifest = backtest_input.monitor(file, name)
    spec = ModelMonitorSpec.model_validate(manifest["spec"])
    metadata = manifest["metadata"]
    where = namespace or metadata.get("namespace") or "default"
    asked = inquiries(spec, where)
    watched = watch(
        spec,
        asked,
        namespace=where,
        name=metadata["name"],
        references=backtest_input.references(
            (file, *reference_files), {one.rule.config_map for one in asked.values()}
        ),
    )
    span = backtest_input.span(last, end, step or spec.interval)
    faults = None if known is None else backtest_input.known_faults(known)
    draw = _drawing() if png_file else None
    from dataclasses import replace

    access = replace(PAST_ACCESS, token_file=bearer_token_file, ca_file=ca_file)
    try:
        past = Past(prometheus, access)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    with closing(past):
        _probe(past, span)
        report = _replay(watched, past, span, faults, (seconds(reaction), seconds(brief)))
    _show(report)
    if json_file is not None:
        _write_json(report, json_file)
    if draw is not None and png_file is not None:
        draw(report, png_file)
    if report.first_sample is None:
        raise click.ClickException(
            "nothing was judged: there is no sample of any signal in this time. Does this"
            " Prometheus hold the series of the target, and for so long?"
        )


def _drawing() -> Any:
    try:
        from backstop.cli.backtest_png import draw
    except ModuleNotFoundError:
        raise click.ClickException(
            "--png needs matplotlib: install backstop with its extra, backstop[charts]"
        ) from None
    return draw


def _probe(past: "Past", span: "Span") -> None:
    """Make sure that the server answers at all."""
    from backstop.adapters.metrics.past import PastError, said

    try:
        past.instant("vector(1)", span.end)
    except PastError as error:
        raise click.ClickException(f"cannot read Prometheus: {said(error)}") from None


def _replay(
    watched: "Watched",
    past: "Past",
    span: "Span",
    faults: "tuple[KnownFault, ...] | None",
    allowances: tuple[float, float],
) -> "Report":
    from backstop.adapters.metrics.history import History
    from backstop.core.backtest import replay, with_gaps

    history = History(past, watched.questions, span)
    reaction, brief = allowances
    looks = _progress(history.looks(), span.looks)
    report = replay(watched, span, looks, reaction=reaction, brief=brief, known=faults)
    return with_gaps(report, history.gaps)


_Looks = Iterable[tuple[float, "Mapping[str, Reading]"]]


def _progress(looks: _Looks, number: int) -> Iterator[tuple[float, "Mapping[str, Reading]"]]:
    """Yield ``looks``, and show on standard error how many are done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from looks
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("replaying", total=number)
        for done, one in enumerate(looks):
            progress.update(task, completed=done)
            yield one


def _show(report: "Report") -> None:
    from rich.console import Console

    from backstop.cli.backtest_chart import lines

    width = Console().width if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    for line in lines(report, width):
        click.echo(line)


def _write_json(report: "Report", file: Path) -> None:
    import json

    from backstop.cli.backtest_json import as_json

    text = json.dumps(as_json(report), indent=1, allow_nan=False)
    file.write_text(f"{text}\n", encoding="utf-8")
