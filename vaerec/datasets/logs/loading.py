"""A reader's own interactions, from a file, a folder or a frame: the door."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vaerec.datasets.logs import columns as parse
from vaerec.datasets.logs.cache import cached
from vaerec.datasets.logs.columns import RowName
from vaerec.datasets.logs.delimited import Delimited
from vaerec.datasets.logs.sources import Table, open_table, roles_of
from vaerec.interactions import Interactions, describe_items


def load_log(source, *, user: str = "user", item: str = "item", rating: str | None = None,
             timestamp: str | None = None, items: str | os.PathLike | pd.DataFrame | None = None,
             title: str = "title", genres: str | None = None, separator: str | None = None,
             quote: str | None = '"', escape: str | None = None, encoding: str = "utf-8", header: bool = True,
             columns: Sequence[str] | None = None, time_format: str | None = None, missing: Sequence[str] =
             (), drop_missing: bool = False, min_rating: float | None = None, duplicates: str = "refuse",
             cache: bool = True) -> Interactions:
    r"""Read a log of interactions.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        Text with a row a line: ``.csv``, ``.tsv``, ``.txt``, ``.dat``, ``.data``, RecBole's ``.inter``; JSON
        with one object a line, or a list of objects: ``.json``, ``.jsonl``; each also as ``.gz`` or as the
        only table in a ``.zip``. ``.parquet``, or a folder of Parquet files. Frames of other libraries, such
        as polars, are taken too.
    user, item : str
        Names of the columns with the raw ids, which may be numbers or text. In text files, ids that
        are all whole numbers become numbers; one id such as ``007`` keeps them all text.
    rating, timestamp : str, optional
        Names of further columns. Columns called ``rating`` and ``timestamp`` are taken if they are there.
        Without ratings each row gets 5.0, without times the file order is the time order. Times
        are numbers of any unit or ISO 8601 dates, which become microseconds.
    items : path or DataFrame, optional
        Titles, and perhaps genres divided by ``|``, of the items; the id column is called as in the log.
    title, genres : str, optional
        Names of the columns of ``items``; a column called ``genres`` is taken if it is there.
    separator : str, optional
        Between the fields of text files, of any length, such as ``"::"``. By default a comma in ``.csv``, a
        tab in ``.tsv`` and ``.inter``; of ``\t``, ``::``, ``|``, ``;`` and ``,`` the one in the first line in
        others.
    quote, escape : str, optional
        Around a field that holds a separator, and before a character that is meant as it is.
        ``quote=None`` makes quotes ordinary characters.
    encoding : str
        Of text files and JSON, such as ``"latin-1"``.
    header : bool
        The first line of a text file holds the names of the columns. If not, columns are user, item, rating
        and timestamp in this order, or user and item; else give ``columns``.
    columns : list of str, optional
        Names of the columns, in their order, of a text file without a header line.
    time_format : str, optional
        As `datetime.strptime` takes it, such as ``"%d/%m/%Y"``, for dates that are not ISO 8601.
    missing : list of str
        Texts that are no value, in any column. Words such as ``NA`` are none in ratings and times, but names
        as ids unless they are given here.
    drop_missing : bool
        Drop rows without a user, an item, a rating or a time, and say how many, where they are refused
        otherwise.
    min_rating : float, optional
        Drop lower ratings.
    duplicates : {"refuse", "first", "last"}
        What to do when a user meets an item again: raise, or keep the first or the last time.
    cache : bool
        Keep the parsed columns of a large text file in ``<path>.vaerec.parquet`` beside it.

    Returns
    -------
    Interactions

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A column is missing, or a row cannot be read, has no value or repeats another: names the first.

    Warns
    -----
    UserWarning
        Values span lines, ids look like missing values, rows were dropped, or times seem to have two units.
    """
    if isinstance(missing, str):
        raise ValueError(f"missing={missing!r}: expected a list of texts, as in missing=['NA']")
    written = {"separator": separator, "quote": quote, "escape": escape, "encoding": encoding}
    table = open_table(source, header=header, columns=columns, **written)
    roles = roles_of(table, {"user": user, "item": item}, {"rating": rating, "timestamp": timestamp})
    if min_rating is not None and "rating" not in roles:
        raise ValueError(f"min_rating={min_rating}, but {table.source} has no column 'rating': say with "
                         "rating= which column it is")

    def read() -> Interactions:
        raw, row_name = read_columns(table, roles, missing, drop_missing)
        if not len(raw):
            raise ValueError(f"{table.source} holds no interactions")
        return Interactions.from_frame(to_frame(raw, row_name, time_format, table.untyped),
                                       duplicates=duplicates, row_name=row_name)

    settings = {"missing": [*missing], "drop_missing": drop_missing, "time_format": time_format,
                "duplicates": duplicates}
    if cache and isinstance(table, Delimited):
        log = cached(Path(source), settings | {"roles": roles, "dialect": asdict(table.dialect)}, read)
    else:
        log = read()
    log = log if min_rating is None else log.filter(min_rating=min_rating)
    if items is None:
        return log
    described = _read_items(items, written, {"item": item, "title": title}, {"genres": genres})
    return replace(log, items=describe_items(log.item_ids, _of_the_log(described, log.item_ids, items)))


def read_columns(table: Table, roles: dict[str, str], missing: Sequence[str] = (),
                 drop_missing: bool = False) -> tuple[pa.Table, RowName]:
    """The raw columns by role, null where there is no value, and what errors call the row at a place."""
    raw = nulled(table.read(roles), table.untyped, missing, drop_missing)
    if not drop_missing:
        return raw, table.row_name
    kept = functools.reduce(pc.and_, [pc.is_valid(column) for column in raw.columns])
    places = np.flatnonzero(kept.to_numpy())
    if len(places) < len(raw):
        warnings.warn(f"{table.source}: {len(raw) - len(places):,} of {len(raw):,} rows lack a value and are "
                      "dropped", stacklevel=3)
    return raw.filter(kept), lambda row: table.row_name(int(places[row]))


def nulled(raw: pa.Table, untyped: bool, missing: Sequence[str], all_words: bool) -> pa.Table:
    """Null for words that mean no value; with ``all_words`` also for those that are no rating and no time."""
    columns = {}
    for role, column in zip(raw.column_names, raw.columns, strict=True):
        words = parse.NO_ID * untyped if role in ("user", "item") else parse.EMPTY * all_words
        columns[role] = parse.without(column, (*missing, *words)) if (*missing, *words) else column
    return pa.table(columns)


def to_frame(table: pa.Table, row_name: RowName, time_format: str | None = None,
             untyped: bool = False) -> pd.DataFrame:
    """Typed columns user, item (categories), rating (float32) and timestamp (int64) of a raw table."""
    columns = {name: parse.categories(table[name], name, row_name, untyped) for name in ("user", "item")}
    if "rating" in table.column_names:
        columns["rating"] = parse.numbers(table["rating"], "rating", row_name)
    if "timestamp" in table.column_names:
        columns["timestamp"] = parse.times(table["timestamp"], row_name, time_format)
    return pd.DataFrame(columns)


def _read_items(items, written: dict, required: dict, optional: dict) -> pd.DataFrame:
    """Columns item, title and perhaps genres, all text."""
    if not isinstance(items, (str, os.PathLike)):
        written = {}
    table = open_table(items, what="file of items", **written)
    if not written:
        table.source = "items"
    raw, row_name = read_columns(table, roles_of(table, required, optional))
    frame = pd.DataFrame({"item": parse.categories(raw["item"], "item", row_name, table.untyped),
                          **{name: raw[name].to_pandas() for name in raw.column_names[1:]}})
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
        name = items if isinstance(items, (str, os.PathLike)) else "the frame of items"
        raise ValueError(f"no item of {name} occurs in the log: ids there look like "
                         f"{described['item'].iloc[0] if len(described) else 'nothing'!r}, in the log like "
                         f"{str(item_ids[0])!r}")
    return described[place >= 0].assign(item=item_ids[place[place >= 0]])
