"""A reader's own interactions: CSV, compressed CSV, Parquet, or a folder of Parquet files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from vaerec.datasets import tables
from vaerec.datasets.parquet_cache import cached
from vaerec.datasets.tables import RowName
from vaerec.interactions import Interactions, describe_items

ENDINGS = (".csv", ".csv.gz", ".parquet")


def load_file(path: str | os.PathLike, *, user: str = "user", item: str = "item",
              rating: str | None = None, timestamp: str | None = None,
              items: str | os.PathLike | pd.DataFrame | None = None, title: str = "title",
              genres: str | None = None, separator: str = ",", time_format: str | None = None,
              duplicates: str = "refuse", cache: bool = True) -> Interactions:
    """Read a log of interactions.

    Parameters
    ----------
    path : path
        ``.csv`` (UTF-8, with a header line), ``.csv.gz``, ``.parquet``, or a folder of Parquet files.
    user, item : str
        Names of the columns with the raw ids, which may be numbers or text. In a CSV file, ids that
        are all whole numbers become numbers; one id such as ``007`` keeps them all text.
    rating, timestamp : str, optional
        Names of further columns. Columns called ``rating`` and ``timestamp`` are taken if they are there.
        Without ratings each row gets 5.0, without times the file order is the time order. Times
        are numbers of any unit or ISO 8601 dates, which become microseconds.
    items : path or DataFrame, optional
        Titles, and perhaps genres divided by ``|``, of the items; the id column is called as in the log.
    title, genres : str, optional
        Names of the columns of ``items``; a column called ``genres`` is taken if it is there.
    separator : str
        Between the fields of CSV files.
    time_format : str, optional
        As `datetime.strptime` takes it, such as ``"%d/%m/%Y"``, for dates that are not ISO 8601.
    duplicates : {"refuse", "first", "last"}
        What to do when a user meets an item again: raise, or keep the first or the last time.
    cache : bool
        Keep the parsed columns of a large CSV file in ``<path>.vaerec.parquet`` beside it.

    Returns
    -------
    Interactions

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A column is missing, or a row cannot be read, has no value or repeats another: names the first.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path.absolute()}")
    names = column_names(path, separator, {"user": user, "item": item},
                   {"rating": rating, "timestamp": timestamp})

    def parse() -> Interactions:
        table, row_name = _read(path, names, separator)
        if not len(table):
            raise ValueError(f"{path} holds no interactions")
        return Interactions.from_frame(to_frame(table, row_name, time_format), duplicates=duplicates,
                                       row_name=row_name)

    settings = {"names": names, "separator": separator, "time_format": time_format, "duplicates": duplicates}
    log = cached(path, settings, parse) if cache and _is_csv(path) else parse()
    if items is None:
        return log
    described = _read_items(items, separator, {"item": item, "title": title}, {"genres": genres})
    return replace(log, items=describe_items(log.item_ids, _of_the_log(described, log.item_ids, items)))


def to_frame(table: pa.Table, row_name: RowName, time_format: str | None = None) -> pd.DataFrame:
    """Typed columns user, item (categories), rating (float32) and timestamp (int64) of a raw table."""
    columns = {name: tables.categories(table[name]) for name in ("user", "item")}
    if "rating" in table.column_names:
        columns["rating"] = tables.numbers(table["rating"], "rating", row_name).astype(np.float32)
    if "timestamp" in table.column_names:
        columns["timestamp"] = tables.times(table["timestamp"], row_name, time_format)
    return pd.DataFrame(columns)


def _is_csv(path: Path) -> bool:
    return not path.is_dir() and path.name.lower().endswith((".csv", ".csv.gz"))


def _read(path: Path, names: dict[str, str], separator: str) -> tuple[pa.Table, RowName]:
    """The raw columns, and how to name a row of the file."""
    if _is_csv(path):
        return tables.read_csv(path, names, separator), tables.csv_row_name(path)
    return tables.read_parquet(path, names)


def column_names(path: Path, separator: str, required: dict, optional: dict) -> dict[str, str]:
    """What a column is to be called -> its name in the file; optional ones only if they are there."""
    if _is_csv(path):
        there = tables.header(path, separator)
    else:
        there = tables.parquet_columns(tables.shards_of(path)[0])
    found = {role: name or role for role, name in optional.items() if name or role in there}
    return required | found


def _read_items(items, separator: str, required: dict, optional: dict) -> pd.DataFrame:
    """Columns item, title and perhaps genres, all text."""
    if isinstance(items, pd.DataFrame):
        names = required | {role: name or role for role, name in optional.items()
                            if name or role in items.columns}
        missing = [name for name in names.values() if name not in items.columns]
        if missing:
            raise ValueError(f"items has no column {missing}; there are {list(items.columns)}")
        frame = items[list(names.values())].set_axis(list(names), axis=1)
        row_name = "items, row {}".format
    else:
        path = Path(items)
        if not path.exists():
            raise FileNotFoundError(f"no file of items {path.absolute()}")
        names = column_names(path, separator, required, optional)
        table, row_name = _read(path, names, separator)
        frame = table.to_pandas()
    text = frame["item"].astype(object).map(str)
    for problem, rows in (("has no item", frame["item"].isna()), ("repeats an item", text.duplicated())):
        if rows.any():
            row = int(rows.to_numpy().argmax())
            raise ValueError(f"{row_name(row)} {problem} ({text.iloc[row]!r}): expected one row an item")
    return frame.assign(item=text)


def _of_the_log(described: pd.DataFrame, item_ids: np.ndarray, items) -> pd.DataFrame:
    """Rows of the items that occur in the log, with its raw ids: numbers there may be text here."""
    place = pd.Index(item_ids).astype(str).get_indexer(described["item"])
    if (place < 0).all():
        name = "the frame of items" if isinstance(items, pd.DataFrame) else items
        raise ValueError(f"no item of {name} occurs in the log: ids there look like "
                         f"{described['item'].iloc[0] if len(described) else 'nothing'!r}, in the log like "
                         f"{str(item_ids[0])!r}")
    return described[place >= 0].assign(item=item_ids[place[place >= 0]])
