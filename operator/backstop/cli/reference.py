"""``backstop reference``: from the data that a model was trained on to a ConfigMap of counts.

Signals of drift and data quality hold live traffic against it. Nothing but counts, edges, category
names and frequent values leaves the data.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstop.cli.values import NEW_FILE

if TYPE_CHECKING:
    from backstop.cli.reference_count import Counted, Learnt

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def reference() -> None:
    """Describe the data that a model was trained on."""


@reference.command()
@click.argument("data", type=_FILE)
@click.option("--out", type=NEW_FILE, help="Write to this file.")
@click.option("--name", help="Name of the ConfigMap; that of the file unless given.")
@click.option("--model-version", default="", help="The version of the model, for people.")
@click.option("--features", help="Columns that are features, as a,b,c; all of them unless given.")
@click.option("--score", help="Column with the scores that the model gave.")
@click.option("--label", help="Column with the classes, as the model answers them.")
@click.option("--bins", type=click.IntRange(3, 100), default=10, show_default=True)
@click.option("--edges", type=_FILE, help="YAML with the edges by column: those of the exporter.")
def build(
    data: Path,
    out: Path | None,
    name: str | None,
    model_version: str,
    features: str | None,
    score: str | None,
    label: str | None,
    bins: int,
    edges: Path | None,
) -> None:
    """Write a ConfigMap with what DATA (CSV, Parquet, .npy or .npz) looks like.

    Numbers become histograms, texts become categories. Without --edges the edges are quantiles of
    the data: use the same ones in the exporter, or give those of the exporter.
    """
    import json
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from backstop.cli.reference_count import binning, count, learn
    from backstop.cli.reference_data import DataError, chunks
    from backstop.core.reference import Document

    wanted = _columns(features, score, label)
    try:
        learnt = learn(lambda: chunks(data, wanted), label)
        _look_for(learnt, {"--score": score, "--label": label})
        for column in _identifiers(learnt):
            click.echo(f"left out {column}: too many different texts to be a category", err=True)
            del learnt[column]
        if not learnt:
            raise click.ClickException(f"{data.name} holds no column to describe")
        kept = list(learnt)
        given = {**_score_edges(learnt, score), **_edges(edges, learnt)}
        counted, rows = count(lambda: chunks(data, kept), learnt, given, bins)
    except DataError as error:
        raise click.ClickException(str(error)) from None
    parts = _parts(counted, score, label)
    document = {
        "format": 1,
        "name": data.name,
        "model": model_version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "binning": binning(parts["features"].items()),
        "rows": rows,
        **parts,
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    try:
        Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise click.ClickException(f"no reference can be made of {where}: {first['msg']}") from None
    _write(_manifest(text, name or _name_of(data), str(document["binning"])), out)


def _columns(features: str | None, score: str | None, label: str | None) -> list[str] | None:
    if features is None:
        return None
    named = [one.strip() for one in features.split(",") if one.strip()]
    return list(dict.fromkeys([*named, *(one for one in (score, label) if one)]))


def _look_for(learnt: "Mapping[str, Learnt]", named: Mapping[str, str | None]) -> None:
    for option, column in named.items():
        if learnt and column is not None and column not in learnt:
            there = ", ".join(learnt)[:300]
            raise click.ClickException(f"{option}: there is no column {column}; there are {there}")


def _identifiers(learnt: "Mapping[str, Learnt]") -> list[str]:
    from backstop.cli.reference_count import MOST_SEEN

    return [name for name, one in learnt.items() if len(one.texts) > MOST_SEEN]


def _score_edges(learnt: "Mapping[str, Learnt]", score: str | None) -> dict[str, list[float]]:
    """Return the edges of the backstop convention for scores from 0 to 1."""
    one = learnt.get(score or "")
    if score is None or one is None or one.is_text or one.low < 0.0 or one.high > 1.0:
        return {}
    return {score: [step / 20 for step in range(1, 21)]}


def _edges(path: Path | None, columns: "Mapping[str, Learnt]") -> dict[str, list[float]]:
    """Return the edges by column in the YAML file; infinite ones are left out."""
    import math

    import yaml

    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        edges = {
            str(name): [one for one in sorted({float(edge) for edge in held}) if one < math.inf]
            for name, held in found.items()
        }
    except (yaml.YAMLError, ValueError, TypeError, AttributeError):
        raise click.ClickException(
            f"{path.name} is not a map from columns to lists of edges, such as amount: [1, 10, 100]"
        ) from None
    strange = [name for name in edges if name not in columns]
    empty = [name for name, held in edges.items() if not held]
    texts = [name for name in edges if name in columns and columns[name].is_text]
    if strange:
        raise click.ClickException(f"{path.name}: there is no column {strange[0]}")
    if empty:
        raise click.ClickException(f"{path.name}: there are no edges for {empty[0]}")
    if texts:
        raise click.ClickException(f"{path.name}: {texts[0]} is a category, which has no edges")
    return edges


def _parts(
    counted: "Mapping[str, Counted]", score: str | None, label: str | None
) -> dict[str, dict[str, Any]]:
    """Return the parts of a reference by its fields."""
    found: dict[str, dict[str, Any]] = {"features": {}, "categories": {}}
    for name, one in counted.items():
        if name == label:
            found["predictions"] = one.stored()
        elif name == score:
            if one.edges is None:
                raise click.ClickException(f"the scores in {name} are not numbers")
            found["scores"] = one.stored()
        else:
            found["categories" if one.edges is None else "features"][name] = one.stored()
    return found


def _name_of(data: Path) -> str:
    import re

    return re.sub(r"[^a-z0-9]+", "-", data.stem.lower()).strip("-") or "reference"


def _manifest(text: str, name: str, hashed: str) -> str:
    import re

    import yaml

    from backstop.core.reference import KEY, LARGEST

    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", name):
        raise click.ClickException(f"{name} is no name for a ConfigMap: use a-z, 0-9, - and .")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": {"backstop.dev/binning": hashed}},
        "data": {KEY: text},
    }
    manifest: str = yaml.safe_dump(body, sort_keys=False, width=10**9, allow_unicode=True)
    size = len(manifest.encode())
    if size > LARGEST:
        raise click.ClickException(
            f"the reference has {size:,} bytes, and a ConfigMap holds {LARGEST:,}: choose fewer"
            " columns with --features, or fewer --bins"
        )
    return manifest


def _write(manifest: str, out: Path | None) -> None:
    if out is None:
        click.echo(manifest, nl=False)
        return
    out.write_text(manifest, encoding="utf-8")
    click.echo(f"wrote {out}; now: kubectl apply --server-side -f {out}")
