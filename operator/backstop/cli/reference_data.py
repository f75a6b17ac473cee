"""Training data in chunks of columns: CSV, Parquet and NumPy files, also larger than memory.

A column of a chunk is an array of numbers with NaN for what is missing, or a list of texts with
``None`` for that.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Column = Floats | list[str | None]
Chunk = Mapping[str, Column]

ROWS: Final = 50_000
"""How many rows are in memory at once."""

_ABSENT: Final = frozenset(("", "na", "n/a", "nan", "null", "none"))
_MOSTLY: Final = 0.99
"""From this share of numbers on, a column is one of numbers, and the rest are unusable values."""


class DataError(Exception):
    """The data cannot be read; the message says what to change."""


def chunks(path: Path, names: Sequence[str] | None) -> Iterator[Chunk]:
    """Yield the columns ``names`` of the file, or all of them, ``ROWS`` rows at a time.

    Raises:
        DataError: the file is not readable, or has no such column.
    """
    readers = {".csv": _csv, ".parquet": _parquet, ".pq": _parquet, ".npy": _npy, ".npz": _npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path.name} is not CSV, Parquet, .npy or .npz, by its name")
    try:
        yield from reader(path, names)
    except (OSError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from None


def _chosen(held: Sequence[str], names: Sequence[str] | None) -> Sequence[str]:
    missing = [name for name in names or () if name not in held]
    if missing:
        raise DataError(f"there is no column {missing[0]}; there are {', '.join(held)[:300]}")
    return held if names is None else names


def _csv(path: Path, names: Sequence[str] | None) -> Iterator[Chunk]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if not header:
            raise DataError(f"{path.name} is empty; the first row names the columns")
        if len(header) == 1 and (found := set(header[0]) & {";", "\t", "|"}):
            raise DataError(f"{path.name}: columns are separated by {min(found)!r}; write commas")
        if twice := [name for name in header if header.count(name) > 1]:
            raise DataError(f"{path.name} has two columns {twice[0]}: give each a name of its own")
        places = [header.index(name) for name in _chosen(header, names)]
        while block := list(islice(rows, ROWS)):
            yield {
                header[place]: _texts([row[place] if place < len(row) else "" for row in block])
                for place in places
            }


def _texts(cells: list[str]) -> list[str | None]:
    return [None if cell.strip().lower() in _ABSENT else cell.strip() for cell in cells]


def _parquet(path: Path, names: Sequence[str] | None) -> Iterator[Chunk]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise DataError("Parquet needs pyarrow: pip install 'backstop[parquet]'") from None
    file = parquet.ParquetFile(path)
    chosen = _chosen(file.schema_arrow.names, names)
    for batch in file.iter_batches(batch_size=ROWS, columns=list(chosen)):
        yield {name: _plain(batch.column(name).to_pylist()) for name in chosen}


def _plain(values: Sequence[Any]) -> Column:
    if all(isinstance(value, int | float | None) for value in values):
        return np.array([math.nan if one is None else one for one in values], dtype=np.float64)
    return [None if value is None else str(value) for value in values]


def _npy(path: Path, names: Sequence[str] | None) -> Iterator[Chunk]:
    yield from _rows(np.load(path, mmap_mode="r", allow_pickle=False), names)


def _npz(path: Path, names: Sequence[str] | None) -> Iterator[Chunk]:
    with np.load(path, allow_pickle=False) as members:
        if len(members.files) == 1 and members[members.files[0]].ndim > 1:
            yield from _rows(members[members.files[0]], names)
            return
        chosen = _chosen(members.files, names)
        columns = {name: members[name] for name in chosen}
    sizes = {column.shape for column in columns.values()}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise DataError(f"the arrays in {path.name} are not columns of one length")
    for begin in range(0, next(iter(sizes))[0], ROWS):
        yield {name: _array(column[begin : begin + ROWS]) for name, column in columns.items()}


def _rows(table: NDArray[Any], names: Sequence[str] | None) -> Iterator[Chunk]:
    if table.dtype.names is not None and table.ndim == 1:
        chosen = _chosen(table.dtype.names, names)
        for begin in range(0, table.shape[0], ROWS):
            block = table[begin : begin + ROWS]
            yield {name: _array(block[name]) for name in chosen}
        return
    if table.ndim != 2:  # noqa: PLR2004 - rows and columns
        raise DataError("the array is not a table of rows and columns")
    held = [str(number) for number in range(table.shape[1])]
    if names is not None and len(names) == len(held) and not set(names) & set(held):
        held = list(names)  # An array has no names of its own.
    places = [held.index(name) for name in _chosen(held, names)]
    for begin in range(0, table.shape[0], ROWS):
        block = table[begin : begin + ROWS]
        yield {held[place]: _array(block[:, place]) for place in places}


def _array(column: NDArray[Any]) -> Column:
    if column.dtype.kind in "biuf":
        return np.asarray(column, dtype=np.float64)
    return [str(value) for value in column.tolist()]


def numbers(column: Column) -> Floats | None:
    """Return ``column`` as numbers, NaN for what is missing or none; ``None`` if it is texts."""
    if not isinstance(column, list):
        return column
    present = [value for value in column if value is not None]
    try:
        return np.array([math.nan if v is None else v for v in column], dtype=np.float64)
    except ValueError:
        parsed = [_number(value) for value in column]
        good = sum(not math.isnan(value) for value in parsed)
        return np.array(parsed) if good >= _MOSTLY * len(present) else None


def _number(text: str | None) -> float:
    try:
        return math.nan if text is None else float(text)
    except ValueError:
        return math.nan


def texts(column: Column) -> list[str | None]:
    """Return ``column`` as texts, numbers in their shortest form."""
    if isinstance(column, list):
        return column
    return [None if math.isnan(value) else f"{value:g}" for value in column.tolist()]


def absent(column: Column) -> int:
    """Return how many values of ``column`` are missing."""
    if isinstance(column, list):
        return sum(value is None for value in column)
    return int(np.isnan(column).sum())
