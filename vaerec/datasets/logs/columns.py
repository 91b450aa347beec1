"""Ids, ratings and times from the columns of a table, and errors that name the row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

EMPTY = ("", "NaN", "nan", "NA", "N/A", "<NA>", "NULL", "null", "None")  # no number and no time
NO_ID = ("", "NaN", "nan")  # in a table as text; the others may be names
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})$"  # as int64 writes it: text -> number -> the same text
EXACT = 2**53  # whole numbers up to here are exact as float64
SECONDS = 10**8  # since 1970, a date of 1973: smaller times are numbers of anything

RowName = Callable[[int], str]


def without(column: pa.ChunkedArray, words: Iterable[str]) -> pa.ChunkedArray:
    """A column of text, or of any other type, where some words are no values."""
    if _is_text(column.type):
        return pc.if_else(pc.is_in(column, value_set=pa.array(words, column.type)), None, column)
    if not (pa.types.is_dictionary(column.type) and _is_text(column.type.value_type)):
        return column
    ids = column.unify_dictionaries().combine_chunks()
    kept = pc.invert(pc.is_in(ids.dictionary, value_set=pa.array(words, ids.dictionary.type)))
    if pc.all(kept).as_py():
        return column
    kept = kept.to_numpy(zero_copy_only=False)
    place = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    codes = place[pc.fill_null(ids.indices, -1).to_numpy()].astype(np.int32)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0),
                                                            ids.dictionary.filter(kept))])


def numbers_if_whole(ids: pa.Array) -> pa.Array:
    """Different ids of a table as text, as numbers if that loses nothing."""
    return ids.cast(pa.int64()) if pc.all(pc.match_substring_regex(ids, WHOLE_NUMBER)).as_py() else ids


def categories(column: pa.ChunkedArray, what: str, row_name: RowName,
               untyped: bool = False) -> pd.Categorical:
    """Raw ids, each once, and the place of each row's among them.

    Parameters
    ----------
    untyped : bool
        They come from a table as text: if all are whole numbers without leading zeros, they become numbers.

    Raises
    ------
    ValueError
        Ids hold line breaks, or are of a type that can be none.
    """
    if not pa.types.is_dictionary(column.type):
        column = plain(column, what).dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    values, codes = column.dictionary, pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    if _is_text(values.type):
        refuse_line_breaks(values, what, lambda place: row_name(int((codes == place).argmax())))
        warn_of_odd_names(values, what, lambda places: int(np.isin(codes, places).sum()))
        values = numbers_if_whole(values) if untyped else values
    return pd.Categorical.from_codes(codes, categories=pd.Index(values.to_pandas()))


def plain(ids: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Ids as whole numbers or text; what only looks like another type becomes one of them.

    Raises
    ------
    ValueError
        They are of a type that can be no ids, or have lost digits.
    """
    kind = ids.type
    if pa.types.is_floating(kind):
        ids = pc.if_else(pc.is_nan(ids), None, ids).cast(pa.float64())
        largest = pc.max(pc.abs(ids)).as_py() or 0
        if largest >= EXACT:
            raise ValueError(f"{what} ids of type {kind} go to {largest:g}: from 2**53 on such numbers have "
                             "lost digits; read them as whole numbers or as text")
        whole = pc.all(pc.equal(pc.floor(ids), ids)).as_py() is not False
        return ids.cast(pa.int64()) if whole else ids  # what whole numbers become where one was missing
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            return ids.cast(pa.string())
        except pa.ArrowInvalid as error:
            raise ValueError(f"{what} ids of type {kind} are no text: expected numbers or text") from error
    if pa.types.is_decimal(kind):
        try:
            return ids.cast(pa.int64())
        except pa.ArrowInvalid:
            return ids.cast(pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_nested(kind):
        raise ValueError(f"{what} ids of type {kind}: expected numbers or text")
    return ids.cast(pa.string()) if "view" in str(kind) else ids


def refuse_line_breaks(ids: pa.Array, what: str, row_name: RowName) -> None:
    """Raise ValueError if an id holds one: a quote was not closed where it should have been."""
    broken = pc.index(pc.match_substring_regex(ids, r"[\r\n]"), True).as_py()
    if broken >= 0:
        raise ValueError(f"{row_name(broken)}: {what} {ids[broken].as_py()[:60]!r} holds a line break; if "
                         "quotes are ordinary characters here, give quote=None")


def warn_of_odd_names(ids: pa.Array, what: str, count: Callable[[np.ndarray], int]) -> None:
    """Warn of ids that look like no value, and of those that begin or end with a space."""
    for odd, saying in (
            (pc.is_in(ids, value_set=pa.array(EMPTY, ids.type)),
             "look like missing values and are kept as names; missing=[...] makes them missing"),
            (pc.match_substring_regex(ids, r"^\s|\s$"),
             "begin or end with a space and are kept as they are: another file may write them without")):
        places = np.flatnonzero(pc.fill_null(odd, False).to_numpy(zero_copy_only=False))
        if len(places) and (rows := count(places)):
            some = ", ".join(repr(one) for one in ids.take(pa.array(places[:3])).to_pylist())
            warnings.warn(f"{what} ids such as {some} in {rows:,} rows {saying}", stacklevel=2)


def numbers(column: pa.ChunkedArray, what: str, row_name: RowName) -> np.ndarray:
    """Finite numbers, float32.

    Raises
    ------
    ValueError
        Names the first row that has none.
    """
    refuse_missing(column, what, row_name)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries().combine_chunks()
        codes, different = column.indices.to_numpy(), column.dictionary
        values = _floats(different)[codes]
    else:
        values = _floats(column)
    bad = ~np.isfinite(values)
    if bad.any():
        refuse_missing(without(pa.chunked_array(column) if isinstance(column, pa.Array) else column, EMPTY),
                       what, row_name)
        row = int(bad.argmax())
        raise ValueError(f"{row_name(row)}: {what} {column[row].as_py()!r} is not a number, or too large")
    return values


def _floats(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Numbers as float32; what is none, or too large, is not finite."""
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(np.float64)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def times(column: pa.ChunkedArray, row_name: RowName, time_format: str | None = None) -> np.ndarray:
    """Times as whole numbers, int64: as they are, or microseconds for dates and for fractions.

    Dates finer than microseconds become nanoseconds.

    Parameters
    ----------
    time_format : str, optional
        As `datetime.strptime` takes it, for dates that are not ISO 8601.

    Raises
    ------
    ValueError
        Names the first row whose time cannot be read like the others, or does not fit.
    """
    refuse_missing(column, "timestamp", row_name)
    if time_format is not None and not pa.types.is_temporal(column.type):
        return _formatted(column, row_name, time_format)
    if pa.types.is_temporal(column.type):
        return _moments(column, row_name)
    for kind in KINDS:
        read = cast(column, kind)
        if read is not None:
            return whole(read, column, row_name)
    refuse_missing(without(column, EMPTY), "timestamp", row_name)
    # Name the first row that is unlike the first one.
    kind = next((kind for kind in KINDS if cast(column.slice(0, 1), kind) is not None), pa.int64())
    raise unlike_the_others(column, kind, row_name)


KINDS = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"),
         pa.timestamp("ns", "UTC"))


def cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """The column as another type, or None where a value cannot be."""
    # From whole numbers to fractions with rounding: `whole` refuses what is too large to be exact.
    rounds = pa.types.is_integer(column.type) and pa.types.is_floating(kind)
    try:
        return column.cast(kind, safe=not rounds)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def whole(read: pa.ChunkedArray, column: pa.ChunkedArray, row_name: RowName) -> np.ndarray:
    """Times, read from a column, as int64: fractions in millionths.

    Raises
    ------
    ValueError
        One is not finite or does not fit: names the row.
    """
    if not pa.types.is_floating(read.type):
        times = read.cast(pa.int64()).to_numpy()
        if pa.types.is_integer(read.type):
            _warn_of_two_units(times)
        return times
    values = read.to_numpy()
    fits = np.isfinite(values)
    if fits.all():
        values = values if np.array_equal(values, np.floor(values)) else np.rint(values * 1e6)
        fits = np.abs(values) < 2.0**63
    if not fits.all():
        row = int((~fits).argmax())
        refuse_missing(without(column, EMPTY), "timestamp", row_name)
        raise ValueError(f"{row_name(row)}: timestamp {column[row].as_py()!r} is not a number that fits: "
                         "with fractions, times are kept as millionths in 64 bits")
    times = values.astype(np.int64)
    _warn_of_two_units(times)
    return times


def unlike_the_others(column: pa.ChunkedArray, kind: pa.DataType, row_name: RowName) -> ValueError:
    """The error for the first row that cannot be cast."""
    step = 2**16  # look for its block, then in the block
    start = next(row for row in range(0, len(column), step) if cast(column.slice(row, step), kind) is None)
    bad = next(row for row in range(start, len(column)) if cast(column.slice(row, 1), kind) is None)
    return ValueError(f"{row_name(bad)}: timestamp {column[bad].as_py()!r} is neither a number nor an "
                      "ISO date like the rows before it; other dates need time_format, such as '%d/%m/%Y'")


def refuse_missing(column: pa.ChunkedArray, what: str, row_name: RowName) -> None:
    """Raise ValueError if there is no value in a row: names the first."""
    if column.null_count:
        row = int(pc.index(column.is_null(), True).as_py())
        raise ValueError(f"{row_name(row)} has no {what}")


def _formatted(column: pa.ChunkedArray, row_name: RowName, time_format: str) -> np.ndarray:
    """Microseconds of dates in a form; each different text is read once."""
    text = column.cast(pa.string()).dictionary_encode().unify_dictionaries().combine_chunks()
    # pandas and not Arrow: Arrow's knows no %f, and takes 31 February for 2 March.
    moments = pd.Series(text.dictionary.to_pandas())
    moments = pd.to_datetime(moments, format=time_format, errors="coerce", utc=True)
    unread = moments.isna().to_numpy()[text.indices.to_numpy()]
    if unread.any():
        refuse_missing(without(column, EMPTY), "timestamp", row_name)
        row = int(unread.argmax())
        raise ValueError(f"{row_name(row)}: timestamp {column[row].as_py()!r} is not of the form "
                         f"{time_format!r}, or no day between 1678 and 2261")
    return moments.astype("datetime64[us, UTC]").astype(np.int64).to_numpy()[text.indices.to_numpy()]


def _moments(column: pa.ChunkedArray, row_name: RowName) -> np.ndarray:
    """Microseconds of dates with a type, or nanoseconds where they are finer."""
    kind = pa.timestamp("us", getattr(column.type, "tz", None))
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise ValueError(f"timestamp is of type {column.type}: expected dates or numbers")
    read = cast(column, kind)
    if read is None and getattr(column.type, "unit", None) == "ns":
        read = column
    if read is None:
        row = next(row for row in range(len(column)) if cast(column.slice(row, 1), kind) is None)
        moment = column.slice(row, 1).cast(pa.int64())[0]
        raise ValueError(f"{row_name(row)}: timestamp {moment} {column.type} does not fit into microseconds")
    return read.cast(pa.int64()).to_numpy()


def _warn_of_two_units(times: np.ndarray) -> None:
    """Seconds and milliseconds in one column put the times out of order."""
    if len(times) and times.min() >= SECONDS and times.max() > 500 * times.min():
        warnings.warn(f"times go from {times.min()} to {times.max()}: are some in seconds and others in "
                      "milliseconds? Their order would be wrong", stacklevel=2)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
