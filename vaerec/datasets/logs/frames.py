"""Tables whose columns have types: Parquet files, folders of them, and frames in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2**20  # of a batch


class ParquetFiles:
    """A Parquet file, or the files of a folder in the order of their names.

    Files and folders whose name begins with a dot or an underscore are left out: writers keep unfinished
    files there.

    Raises
    ------
    FileNotFoundError
        The folder has no Parquet file.
    ValueError
        A file is not a whole Parquet file.
    """

    untyped = False

    def __init__(self, path: Path):
        self.files = [path]
        if path.is_dir():
            self.files = [file for file in sorted(path.rglob("*.parquet"))
                          if not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)]
        if not self.files:
            raise FileNotFoundError(f"no .parquet file in the folder {path}")
        self.source = self.files[0]
        self.names = _schema(self.source).names

    def read(self, roles: dict[str, str]) -> pa.Table:
        """Columns by role (role -> name).

        Raises
        ------
        ValueError
            A column is missing, a file is cut off, or files differ in the types of their columns.
        """
        tables = []
        for file in self.files:
            _require(roles, file)
            try:
                tables.append(pq.read_table(file, columns=[*roles.values()]).select([*roles.values()]))
            except (pa.ArrowInvalid, OSError) as error:
                raise ValueError(f"{file} is cut off or damaged ({error}): copy it again") from error
            if tables[-1].schema != tables[0].schema:
                raise ValueError(f"{file} has other column types than {self.source}: {_types(tables[-1])} "
                                 f"and {_types(tables[0])}")
        return pa.concat_tables(tables).rename_columns([*roles])

    def batches(self, roles: dict[str, str]) -> Iterator[pa.Table]:
        """As `read`, piece by piece; types that can be those of the first file without loss become them."""
        schema = None
        for file in self.files:
            _require(roles, file)
            try:
                with pq.ParquetFile(file) as opened:
                    own = opened.schema_arrow
                    types = [(role, own.field(name).type) for role, name in roles.items()]
                    schema = schema or pa.schema(types)
                    for batch in opened.iter_batches(ROWS, columns=[*roles.values()]):
                        table = pa.Table.from_batches([batch]).select([*roles.values()])
                        yield table.rename_columns([*roles]).cast(schema)
            except (OSError, pa.ArrowException, ValueError) as error:
                raise ValueError(f"{file} is cut off or damaged, or its columns differ from those of the "
                                 f"first file ({error})") from error

    def row_name(self, row: int) -> str:
        """What errors call the row at a place, from 0: ``"part-1.parquet, row 2"``."""
        ends = np.cumsum([pq.read_metadata(file).num_rows for file in self.files])
        file = int(np.searchsorted(ends, row, side="right"))
        return f"{self.files[file]}, row {row - (ends[file - 1] if file else 0) + 1}"


class Frame:
    """A pandas or Arrow table, or anything else that gives Arrow tables, such as a polars frame.

    Raises
    ------
    TypeError
        It is no table.
    """

    untyped, source = False, "the table"

    def __init__(self, table):
        self.table = table
        if isinstance(table, pd.DataFrame):
            self.names = [*table.columns]
        else:
            if not isinstance(table, pa.Table):
                self.table = table = pa.table(table)
            self.names = table.column_names

    def read(self, roles: dict[str, str]) -> pa.Table:
        """Columns by role (role -> name)."""
        if isinstance(self.table, pa.Table):
            return self.table.select([*roles.values()]).rename_columns([*roles])
        columns = {}
        for role, name in roles.items():
            try:
                columns[role] = pa.chunked_array([pa.Array.from_pandas(self.table[name])])
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                kinds = sorted({type(value).__name__ for value in self.table[name].dropna()})
                raise ValueError(f"{self.source}: column {name!r} holds {', '.join(kinds)}: expected one "
                                 f"type; text for all is frame[{name!r}].astype(str)") from error
        return pa.table(columns)

    def batches(self, roles: dict[str, str]) -> Iterator[pa.Table]:
        """As `read`, piece by piece."""
        table = self.read(roles)
        return (table.slice(start, ROWS) for start in range(0, len(table), ROWS))

    def row_name(self, row: int) -> str:
        """What errors call the row at a place, from 0."""
        return f"{self.source}, row {row + 1}"


def require_columns(roles: dict[str, str], there: list[str], source, advice: str = "") -> None:
    """Raise ValueError unless each column of ``roles`` (role -> name) is there once."""
    for role, name in roles.items():
        if there.count(name) > 1:
            raise ValueError(f"{source}: {there.count(name)} columns are called {name!r}: rename all but one")
        if name not in there:
            example = there[0] if there else "name"
            raise ValueError(f"{source}: no column {name!r}; there are {there}. {advice or ''}If it has "
                             f"another name, give it, as in {role}={example!r}")


def _require(roles: dict[str, str], file: Path) -> None:
    require_columns(roles, _schema(file).names, file)


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} is not a Parquet file, or it is cut off or damaged ({error})") from error


def _types(table: pa.Table) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)
