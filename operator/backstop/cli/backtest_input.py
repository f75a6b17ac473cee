"""What ``backstop backtest`` is given: a monitor, a span of the past, faults that are known."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstop.core.backtest_report import KnownFault, Span
from backstop.core.units import Duration, seconds

if TYPE_CHECKING:
    from backstop.core.measurement import Missing
    from backstop.core.reference import Reference


def monitor(path: str, name: str | None) -> dict[str, Any]:
    """Return the manifest of the ModelMonitor in the file ``path``, or the one called ``name``.

    Raises:
        SystemExit: there is something to change in it; ``backstop check`` says the same.
        ClickException: there is no such monitor, or more than one.
    """
    from backstop.api.crd import MODEL_MONITOR
    from backstop.cli.check import check_file, documents, objects

    found = [(who, line) for who, lines in check_file(path) for line in lines]
    for who, line in found:
        click.echo(": ".join(filter(None, (path, who, line))))
    if found:
        raise SystemExit(1)
    held = objects(documents(path))
    monitors = [dict(one) for one in held if one.get("kind") == MODEL_MONITOR.name]
    chosen = [one for one in monitors if name is None or one["metadata"]["name"] == name]
    if not monitors:
        raise click.ClickException("no ModelMonitor found: is this the right file?")
    if len(chosen) != 1:
        names = ", ".join(one["metadata"]["name"] for one in monitors)
        raise click.ClickException(f"the file has the monitors {names}: choose one with --monitor")
    return chosen[0]


def references(
    paths: Iterable[str], named: Iterable[str | None]
) -> "dict[str, Reference | Missing]":
    """Return what the ConfigMaps in the files ``paths`` hold, for those ``named`` by rules.

    Raises:
        ClickException: a ConfigMap that is named is damaged.
    """
    from backstop.cli.check import documents, objects
    from backstop.core.measurement import Missing, UnknownReason
    from backstop.core.reference import DamagedError, parse

    why = "ConfigMap {} is not at hand: name a file that holds it with --reference"
    found: dict[str, Reference | Missing] = {
        name: Missing(UnknownReason.NO_DATA, why.format(name)) for name in named if name
    }
    for path in paths:
        try:
            held = documents(path)
        except ValueError as error:
            raise click.ClickException(f"{path}: {error}") from None
        for one in objects(held):
            metadata = one.get("metadata")
            name = str(metadata.get("name")) if isinstance(metadata, dict) else ""
            if one.get("kind") == "ConfigMap" and name in found:
                try:
                    found[name] = parse(one.get("data"))
                except DamagedError as error:
                    raise click.ClickException(f"{path}: ConfigMap {name}: {error}") from None
    return found


def span(last: Duration, end: str | None, step: Duration) -> Span:
    """Return the looks from ``last`` before ``end``, which is the present unless written.

    Raises:
        ClickException: a value cannot be read, or lies in the future.
    """
    now = time.time()
    until = now if end is None else moment(end, "--end")
    if until > now:
        raise click.ClickException(f"--end {end} is in the future: {said(until)} UTC")
    try:
        return Span(until - seconds(last), until, seconds(step))
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def moment(text: str, field: str) -> float:
    """Return the Unix time of ``text``, in ISO 8601; without an offset in the local time zone.

    Raises:
        ClickException: it is no time, or one that the local clock shows never or twice.
    """
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.ClickException(
            f"{field}: {text!r} is not a time: write for example 2026-11-23T10:00:00Z"
        ) from None
    if written.tzinfo is not None:
        return written.timestamp()
    first, second = (written.replace(fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return first
    shown = datetime.fromtimestamp(first).replace(tzinfo=None)  # noqa: DTZ006 (the local clock)
    times = "twice" if shown == written else "never"
    raise click.ClickException(
        f"{field}: the local clock shows {text} {times}: add an offset, such as +01:00 or Z"
    )


def known_faults(path: Path) -> tuple[KnownFault, ...]:
    """Return the faults listed in ``path``.

    Raises:
        ClickException: the file is not of the documented form.
    """
    import yaml

    from backstop.runtime.manifests import told

    written = path.read_bytes()
    try:
        # Times stay text, so that all times are read in one way.
        document = yaml.load(written, Loader=yaml.BaseLoader)  # noqa: S506 (strings only)
    except yaml.YAMLError as error:
        raise click.ClickException(f"{path}: {told(error, written)}") from None
    listed = document.get("faults") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise click.ClickException(f"{path} must hold a list `faults` with name, from and to")
    return tuple(_fault(path, number, one) for number, one in enumerate(listed))


def _fault(path: Path, number: int, written: object) -> KnownFault:
    place = f"{path}: faults[{number}]"
    if not isinstance(written, dict) or not {"from", "to"} <= written.keys():
        raise click.ClickException(f"{place} needs from and to, and may have a name")
    fault = KnownFault(
        str(written.get("name") or f"fault {number + 1}"),
        moment(str(written["from"]), f"{place}.from"),
        moment(str(written["to"]), f"{place}.to"),
    )
    if fault.end < fault.begin:
        raise click.ClickException(f"{place} ends before it begins")
    return fault


def said(at: float) -> str:
    """Return a Unix time as a person reads it, in UTC."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
