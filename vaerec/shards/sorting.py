"""A log on disk, sorted by DuckDB: what is in memory is bounded by a limit, the rest is spilled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from vaerec.datasets.logs import columns as parse
from vaerec.datasets.logs.delimited import Again
from vaerec.datasets.logs.loading import nulled
from vaerec.datasets.logs.sources import Table

if TYPE_CHECKING:
    import duckdb


class _Unlike(Exception):
    """A time cannot be read like those before it."""


@contextlib.contextmanager
def database(folder: Path, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB database in a folder that is deleted afterwards by whoever made it.

    Raises
    ------
    ValueError
        The limit is no size, or too small for what is asked.
    OSError
        The disk is full.
    """
    import duckdb  # here: whose log fits into memory need not have it in memory too

    settings = {"memory_limit": memory_limit, "temp_directory": str(folder / "spilled"),
                "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    try:
        with duckdb.connect(str(folder / "log.duckdb"), config=settings) as connection:
            connection.execute("SET enable_progress_bar = false")
            yield connection
    except (duckdb.OutOfMemoryException, duckdb.ParserException, duckdb.InvalidInputException) as error:
        raise ValueError(f"memory_limit={memory_limit!r} is no size such as '2GB', or too small "
                         f"({error})") from error
    except duckdb.IOException as error:
        raise OSError(f"sorting in {folder} failed ({error})") from error


@dataclass
class SortedLog:
    """Rows by bucket, user and time; equal times in the order of the source.

    A user's rows are in one bucket, by a hash of the raw id that is the same on every machine.

    Attributes
    ----------
    connection : DuckDBPyConnection
    table : Table
        Where the rows come from; names them in errors.
    roles : dict
        Role -> name in the table.
    """

    connection: duckdb.DuckDBPyConnection
    table: Table
    roles: dict[str, str]

    def fill(self, time_format: str | None = None, missing: tuple[str, ...] = ()) -> int:
        """Read all rows; returns their number."""
        unlike = None
        for kind in parse.KINDS:
            try:
                return self._fill(kind, time_format, missing)
            except Again:
                self.table.check(self.roles)
                return self.fill(time_format, missing)
            except _Unlike as error:
                unlike = unlike or error
        raise unlike.__cause__

    def sort(self, n_buckets: int) -> None:
        """Sort them; then `user_ids`, `user_hash` and `item_ids` are there and `bucket` reads a bucket."""
        self.user_ids, self.item_ids = (self._code(role) for role in ("user", "item"))
        # As narrow as they can be: what is sorted, and perhaps spilled, is that much smaller.
        bucket = pa.table({"user_code": np.arange(len(self.user_ids), dtype=np.int32),
                           "bucket": (self.user_hash % n_buckets).astype(np.int16)})
        self.connection.register("buckets", bucket)
        rating = "rating, " if "rating" in self.roles else ""
        self.connection.execute(
            f"CREATE TABLE sorted AS SELECT bucket, user_code, item_code, {rating}time, number FROM log "
            "JOIN user_ids USING (user_id) JOIN item_ids USING (item_id) JOIN buckets USING (user_code) "
            "ORDER BY bucket, user_code, time, number")
        self.connection.execute("DROP TABLE log")

    @cached_property
    def user_hash(self) -> np.ndarray:
        """A number for each user that stays the same on every machine: uint64 [n_users]."""
        return pd.util.hash_array(self.user_ids, categorize=False)

    def bucket(self, number: int) -> dict[str, np.ndarray]:
        """Rows of a bucket, by user and time: user_code, item_code, time, number, perhaps rating."""
        # A bucket lies in one piece; its order is asked for again, since a table promises none.
        found = self.connection.execute("SELECT * EXCLUDE bucket FROM sorted WHERE bucket = ? "
                                        "ORDER BY user_code, time, number", [number]).fetchnumpy()
        return {name: np.ma.getdata(column) for name, column in found.items()}

    def _fill(self, kind: pa.DataType, time_format: str | None, missing: tuple[str, ...]) -> int:
        self.connection.execute("DROP TABLE IF EXISTS log")
        start, schema = 0, None
        for raw in self.table.batches(self.roles):
            piece = self._typed(nulled(raw, self.table.untyped, missing, False), start, kind, time_format)
            if schema is None:
                schema = piece.schema
                self.connection.register("piece", piece)
                self.connection.execute("CREATE TABLE log AS SELECT * FROM piece")
            elif piece.schema != schema:
                raise ValueError(f"{self.table.row_name(start)}: from here on columns are "
                                 f"{piece.schema.types}, before {schema.types}: expected one type each")
            else:
                self.connection.register("piece", piece)
                self.connection.execute("INSERT INTO log SELECT * FROM piece")
            start += len(raw)
        if not start:
            raise ValueError(f"{self.table.source} holds no interactions")
        return start

    def _typed(self, raw: pa.Table, start: int, kind: pa.DataType, time_format: str | None) -> pa.Table:
        def row_name(row: int) -> str:
            return self.table.row_name(start + row)

        columns = {"number": np.arange(start, start + len(raw))}
        for role in ("user", "item"):
            parse.refuse_missing(raw[role], role, row_name)
            values = raw[role]
            if pa.types.is_dictionary(values.type):
                values = values.cast(values.type.value_type)
            columns[f"{role}_id"] = parse.plain(values, role)
        if "rating" in self.roles:
            columns["rating"] = parse.numbers(raw["rating"], "rating", row_name)
        columns["time"] = columns["number"]
        if "timestamp" in self.roles:
            columns["time"] = _times(raw["timestamp"], row_name, kind, time_format)
        return pa.table(columns)

    def _code(self, role: str) -> np.ndarray:
        """Different raw ids, ascending; a table with the number of each is left in the database."""
        found = self.connection.execute(f"SELECT {role}_id, min(number) FROM log GROUP BY ALL").fetchnumpy()
        raw, first = (np.ma.getdata(column) for column in found.values())
        ids = pa.array(raw)
        if pa.types.is_string(ids.type):
            parse.refuse_line_breaks(ids, role, lambda place: self.table.row_name(int(first[place])))
            parse.warn_of_odd_names(ids, role, lambda places: self._count(role, ids.take(pa.array(places))))
            ids = parse.numbers_if_whole(ids) if self.table.untyped else ids
        values = ids.to_numpy(zero_copy_only=False)
        order = np.argsort(values, kind="stable")
        codes = np.arange(len(order), dtype=np.int32)
        self.connection.register(f"{role}_ids", pa.table({f"{role}_id": raw[order], f"{role}_code": codes}))
        return values[order]

    def _count(self, role: str, ids: pa.Array) -> int:
        counted = self.connection.execute(
            f"SELECT count(*) FROM log WHERE {role}_id IN (SELECT unnest(?))", [ids.to_pylist()])
        return counted.fetchall()[0][0]


def _times(column: pa.ChunkedArray, row_name: parse.RowName, kind: pa.DataType,
           time_format: str | None) -> np.ndarray:
    """Numbers that are in the order of the times, int64 or float64; the same in each piece of a log."""
    parse.refuse_missing(column, "timestamp", row_name)
    if time_format is not None and not pa.types.is_temporal(column.type):
        return parse.times(column, row_name, time_format)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # In their own unit: nothing is rounded, and nothing overflows.
        whole = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
        return whole.to_numpy().astype(np.int64)
    read = parse.cast(column, kind)
    if read is None:
        raise _Unlike from _error_of(column, row_name)
    if pa.types.is_floating(read.type):
        parse.whole(read, column, row_name)  # refuses what is not finite
        return read.to_numpy()
    return read.cast(pa.int64()).to_numpy()


def _error_of(column: pa.ChunkedArray, row_name: parse.RowName) -> ValueError:
    try:
        parse.times(column, row_name)
    except ValueError as error:
        return error
    return ValueError(f"{row_name(0)}: timestamp {column[0].as_py()!r}: expected times like those before it")
