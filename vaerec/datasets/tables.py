"""Typed columns of interactions from CSV and Parquet, and errors that name the line.

Every column of a CSV file is read as text and converted after: nothing is guessed, so the id "007" is
not the number 7, and a value that cannot be converted can be shown as it stands in the file.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

EMPTY = ("", "NaN", "nan", "NA", "N/A", "NULL", "null", "None")
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})$"  # as int64 writes it: text -> number -> the same text

Source = Path | zipfile.Path
RowName = Callable[[int], str]


def read_csv(source: Source, names: dict[str, str], separator: str = ",") -> pa.Table:
    """Columns of a CSV file with a header line, as text.

    Parameters
    ----------
    source : Path or zipfile.Path
        Gzip if its name ends in ``.gz``.
    names : dict
        What a column is to be called -> its name in the header.

    Returns
    -------
    Table
        The columns of ``names``, as text; ``user`` and ``item`` are dictionaries, of numbers if all ids
        are whole numbers without leading zeros.

    Raises
    ------
    ValueError
        A column is missing, the file is not UTF-8 or is cut off, or a row has too many or too few fields.
    """
    require_columns(names, header(source, separator), source)
    ids = pa.dictionary(pa.int32(), pa.string())
    types = {own: ids if role in ("user", "item") else pa.string() for role, own in reversed(names.items())}

    def read(use_threads: bool) -> pa.Table:
        with source.open("rb") as raw:
            file = pa.CompressedInputStream(raw, "gzip") if source.name.endswith(".gz") else raw
            return pa.csv.read_csv(
                file, read_options=pa.csv.ReadOptions(use_threads=use_threads, block_size=2**23),
                parse_options=pa.csv.ParseOptions(delimiter=separator),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(types), column_types=types, null_values=EMPTY,
                    strings_can_be_null=True))

    try:
        try:
            table = read(use_threads=True)
        except pa.ArrowInvalid:
            table = read(use_threads=False)  # fails again, and says where
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source} is cut off or damaged ({error}): copy it again") from error
    except pa.ArrowInvalid as error:
        found = re.search(r"Row #(\d+): (.*)", str(error), re.DOTALL)
        place = csv_row_name(source)(int(found[1]) - 2) if found else str(source)
        reason = found[2] if found else str(error)
        advice = "; save the file as UTF-8" if "UTF8" in reason else ""
        raise ValueError(f"{place}: {reason}{advice}") from error
    columns = {role: table[own] for role, own in names.items()}
    return pa.table({role: numbers_if_whole(column) if pa.types.is_dictionary(column.type) else column
                     for role, column in columns.items()})


def numbers_if_whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary of text as one of numbers, if that loses nothing."""
    ids = column.unify_dictionaries().combine_chunks()
    if pc.all(pc.match_substring_regex(ids.dictionary, WHOLE_NUMBER)).as_py():
        ids = pa.DictionaryArray.from_arrays(ids.indices, ids.dictionary.cast(pa.int64()))
    return pa.chunked_array([ids])


def csv_row_name(source: Source) -> RowName:
    """What errors call the row at a place, from 0: ``"log.csv, line 2"``; empty lines are no rows."""

    def row_name(row: int) -> str:
        with _lines(source) as lines:
            filled = (number for number, line in enumerate(lines, start=1) if line.strip(b"\r\n"))
            return f"{source}, line {next(itertools.islice(filled, row + 1, None))}"

    return row_name


def read_parquet(path: Path, names: dict[str, str]) -> tuple[pa.Table, RowName]:
    """Columns of a Parquet file or of a folder of them, and what errors call the row at a place.

    Raises
    ------
    ValueError
        A column is missing, a file is cut off, or files differ in the types of their columns.
    """
    shards = shards_of(path)
    tables = [_read_shard(shard, names) for shard in shards]
    for shard, table in zip(shards, tables, strict=True):
        if table.schema != tables[0].schema:
            raise ValueError(f"{shard} has other column types than {shards[0]}: "
                             f"{_types(table)} and {_types(tables[0])}")
    ends = np.cumsum([len(table) for table in tables])

    def row_name(row: int) -> str:
        shard = int(np.searchsorted(ends, row, side="right"))
        return f"{shards[shard]}, row {row - (ends[shard - 1] if shard else 0) + 1}"

    return pa.concat_tables(tables).rename_columns(list(names)), row_name


def shards_of(path: Path) -> list[Path]:
    """The Parquet files of a folder, by name; a file is its own only shard.

    Files and folders whose name begins with a dot or an underscore are left out: writers keep
    unfinished shards there.
    """
    if not path.is_dir():
        return [path]
    shards = [shard for shard in sorted(path.rglob("*.parquet"))
              if not any(part.startswith((".", "_")) for part in shard.relative_to(path).parts)]
    if not shards:
        raise FileNotFoundError(f"no .parquet file in the folder {path}")
    return shards


def parquet_columns(path: Path) -> list[str]:
    """Names of the columns of a Parquet file.

    Raises
    ------
    ValueError
        The file is not a whole Parquet file.
    """
    try:
        return pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a Parquet file, or it is cut off or damaged ({error})") from error


def _read_shard(shard: Path, names: dict[str, str]) -> pa.Table:
    require_columns(names, parquet_columns(shard), shard)
    try:
        return pq.read_table(shard, columns=list(names.values())).select(list(names.values()))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{shard} is cut off or damaged ({error}): copy it again") from error


def _types(table: pa.Table) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)


def require_columns(names: dict[str, str], there: list[str], source: Source) -> None:
    """Raise ValueError unless each column of ``names`` (role -> name) is there once."""
    for role, name in names.items():
        if there.count(name) > 1:
            raise ValueError(f"{source}: {there.count(name)} columns are called {name!r}: rename all but one")
        if name not in there:
            other = "; if another separator is used, give separator=" if len(there) == 1 else ""
            raise ValueError(f"{source}: no column {name!r}; there are {there}. If it has another name, give "
                             f"it, as in {role}={there[0]!r}{other}")


def header(source: Source, separator: str) -> list[str]:
    """Names of the columns of a CSV file.

    Raises
    ------
    ValueError
        The file is empty, not UTF-8, or a gzip file that is cut off.
    """
    try:
        with _lines(source) as lines:
            first = next((line for line in lines if line.strip()), b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}, line 1: invalid UTF8 data; save the file as UTF-8") from error
    except (OSError, EOFError) as error:
        raise ValueError(f"{source} is cut off or damaged ({error}): copy it again") from error
    if not first:
        raise ValueError(f"{source} is empty: expected a header line with the names of the columns")
    return next(csv.reader([first.rstrip("\r\n")], delimiter=separator))


@contextlib.contextmanager
def _lines(source: Source) -> Iterator[Iterable[bytes]]:
    with source.open("rb") as raw:
        yield gzip.GzipFile(fileobj=raw) if source.name.endswith(".gz") else raw


def categories(column: pa.ChunkedArray) -> pd.Categorical:
    """Raw ids, each once, and the place of each row's among them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    values = column.dictionary
    if pa.types.is_floating(values.type) and pc.all(pc.equal(pc.floor(values), values)).as_py():
        values = values.cast(pa.int64())  # what whole numbers become where one was missing
    elif pa.types.is_nested(values.type):
        raise ValueError(f"ids of type {values.type}: expected numbers or text")
    codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(codes, categories=pd.Index(values.to_pandas()))


def numbers(column: pa.ChunkedArray, what: str, row_name: RowName) -> np.ndarray:
    """Finite numbers, float64.

    Raises
    ------
    ValueError
        Names the first row that has none.
    """
    _refuse_missing(column, what, row_name)
    try:
        values = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{row_name(row)}: {what} {column[row].as_py()!r} is not a number")
    return values


def times(column: pa.ChunkedArray, row_name: RowName, time_format: str | None = None) -> np.ndarray:
    """Times as whole numbers, int64: as they are, or microseconds for dates and for fractions.

    Parameters
    ----------
    time_format : str, optional
        As `datetime.strptime` takes it, for dates that are not ISO 8601.

    Raises
    ------
    ValueError
        Names the first row whose time cannot be read like the others.
    """
    _refuse_missing(column, "timestamp", row_name)
    if time_format is not None and _is_text(column.type):
        parsed = pc.strptime(column, format=time_format, unit="us", error_is_null=True)
        _refuse_unread(parsed, column, row_name, f"is not of the form {time_format!r}")
        return parsed.cast(pa.int64()).to_numpy()
    if pa.types.is_temporal(column.type):
        return column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False
                           ).cast(pa.int64()).to_numpy()
    for kind in _KINDS:
        read = _cast(column, kind)
        if read is not None:
            break
    else:
        # Name the first row that is unlike the first one.
        kind = next((kind for kind in _KINDS if _cast(column.slice(0, 1), kind) is not None), pa.int64())
        bad = _first_unread(column, kind)
        raise ValueError(f"{row_name(bad)}: timestamp {column[bad].as_py()!r} is neither a number nor an "
                         "ISO date like the rows before it; other dates need time_format, such as '%d/%m/%Y'")
    if pa.types.is_floating(read.type):
        values = read.to_numpy()
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise ValueError(f"{row_name(row)}: timestamp {column[row].as_py()!r} is not a number")
        whole = np.array_equal(values, np.floor(values))
        return (values if whole else np.rint(values * 1e6)).astype(np.int64)
    return read.cast(pa.int64()).to_numpy()


_KINDS = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _first_unread(column: pa.ChunkedArray, kind: pa.DataType, step: int = 2**16) -> int:
    """First row that cannot be cast: look for its block, then in the block."""
    start = next(row for row in range(0, len(column), step) if _cast(column.slice(row, step), kind) is None)
    return next(row for row in range(start, len(column)) if _cast(column.slice(row, 1), kind) is None)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _refuse_missing(column: pa.ChunkedArray, what: str, row_name: RowName) -> None:
    if column.null_count:
        row = int(pc.index(column.is_null(), True).as_py())
        raise ValueError(f"{row_name(row)} has no {what}")


def _refuse_unread(read: pa.ChunkedArray, column: pa.ChunkedArray, row_name: RowName, why: str) -> None:
    if read.null_count:
        row = int(pc.index(read.is_null(), True).as_py())
        raise ValueError(f"{row_name(row)}: timestamp {column[row].as_py()!r} {why}")
