"""Tables as text: CSV and its relatives.

Every column is read as text and by its place: nothing is guessed, so the id "007" is not the number 7.
Arrow parses. Where quotes could mean more than one thing, or Arrow refuses, Python's `csv`, strict, goes
through the file first: it knows lines, and a quote that is never closed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from vaerec.datasets.logs.streams import BLOCK, STAND_IN, Quotes, Source, Text, open_text

TYPED = re.compile(r"(.+):(token|token_seq|float|float_seq)")  # RecBole's names of columns
NO_QUOTES = "if quotes are ordinary characters here, give quote=None"
ROLES = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes
    ----------
    separator : str
        Between fields; of any length.
    quote, escape : str, optional
        One character each.
    encoding : str
        As Python calls it.
    header : bool
        The first line that is not blank holds the names of the columns.
    columns : tuple of str, optional
        Their names, where the file has none.
    """

    separator: str = ","
    quote: str | None = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    columns: tuple[str, ...] | None = None

    def __post_init__(self):
        for name in ("quote", "escape"):
            value = getattr(self, name)
            if value is not None and (len(value) != 1 or not value.isascii()):
                raise ValueError(f"{name}={value!r}: expected one ASCII character or None")
        if not self.separator or self.separator in ("\n", "\r", self.quote):
            raise ValueError(f"separator={self.separator!r}: expected what stands between two fields")

    @property
    def delimiter(self) -> str:
        """What stands between fields once `open_text` has read them."""
        return self.separator if len(self.separator.encode()) == 1 else STAND_IN

    def reader(self, lines) -> csv.reader:
        """Python's reader of this dialect."""
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, escapechar=self.escape,
                          quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL, strict=True)


class Again(Exception):
    """What was read so far may not be what the file says: call `Delimited.check`, then read again."""


class Delimited:
    """A table as text, gzip if its name ends in ``.gz``.

    Raises
    ------
    ValueError
        It is empty, cut off, or not of the encoding.
    """

    untyped = True

    def __init__(self, source: Source, dialect: Dialect):
        self.source, self.dialect = source, dialect
        self._checked: int | None = None  # rows, once `check` has counted them
        with self._open() as text:
            line = text.first_line()
        if not line:
            raise ValueError(f"{source} is empty: expected a header line with the names of the columns")
        try:
            self.first = next(dialect.reader([line.decode()]))
        except UnicodeDecodeError as error:
            raise ValueError(f"{source}, line 1: invalid UTF8 data; save the file as UTF-8, or give its "
                             "encoding=, such as 'latin-1'") from error
        except csv.Error as error:
            raise ValueError(f"{source}, line 1: {error}; {NO_QUOTES}") from error
        self.names = self._names()

    def _names(self) -> list[str]:
        if self.dialect.header:
            return [TYPED.fullmatch(name)[1] for name in self.first] if self.typed else self.first
        names = self.dialect.columns
        if names is None:
            if len(self.first) not in (2, 4):
                raise ValueError(f"{self.source}: header=False is enough for columns {', '.join(ROLES)} or "
                                 f"user, item; there are {len(self.first)} in {self.first}: give their "
                                 f"names, as in columns={[*ROLES[:2], 'timestamp']}")
            names = ROLES[:len(self.first)]
        if len(names) != len(self.first):
            raise ValueError(f"{self.source}: columns={list(names)} are {len(names)}, but the first line has "
                             f"{len(self.first)}: {self.first}")
        if list(names) == self.first:
            raise ValueError(f"{self.source}: its first line holds the names of the columns: leave columns= "
                             "and header= away")
        return list(names)

    @property
    def typed(self) -> bool:
        """Whether the header is one of RecBole's, such as ``user_id:token``."""
        return self.dialect.header and all(map(TYPED.fullmatch, self.first))

    @property
    def looks_like_data(self) -> bool:
        """Whether what should be names of columns has a number among them."""
        number = re.compile(r"\s*-?\d+([.:-]\d+)*\s*")
        return self.dialect.header and any(map(number.fullmatch, self.first))

    def read(self, roles: dict[str, str]) -> pa.Table:
        """Columns by role (role -> name), as text: ids and ratings as dictionaries.

        Raises
        ------
        ValueError
            A row has too many or too few fields, or a quote is not closed: names the line.
        """
        try:
            (table,) = self._parsed(roles, pa.csv.read_csv)
        except Again:
            self.check(roles)
            (table,) = self._parsed(roles, pa.csv.read_csv)
        return table

    def batches(self, roles: dict[str, str]) -> Iterator[pa.Table]:
        """As `read`, piece by piece.

        Raises
        ------
        Again
            The pieces so far are not to be trusted.
        """
        return self._parsed(roles, pa.csv.open_csv)

    def row_name(self, row: int) -> str:
        """What errors call the row at a place, from 0: ``"log.csv, line 2"``."""
        start, _, _ = next(itertools.islice(self._records(), row + self.dialect.header, None))
        return f"{self.source}, line {start}"

    def check(self, roles: dict[str, str]) -> None:
        """Go through the file without Arrow; warn if values span lines.

        Raises
        ------
        ValueError
            See `read`.
        """
        places = [self.names.index(own) for own in roles.values()]
        rows, spans = 0, []
        for start, end, fields in itertools.islice(self._records(), self.dialect.header, None):
            where = f"{self.source}, line {start}"
            if len(fields) != len(self.names):
                raise ValueError(f"{where}: Expected {len(self.names)} columns, got {len(fields)}")
            if not all(fields[place].isascii() or _is_utf8(fields[place]) for place in places):
                raise ValueError(f"{where}: invalid UTF8 data; save the file as UTF-8, or give its "
                                 "encoding=, such as 'latin-1'")
            rows += 1
            if end > start:
                spans = spans or [start, end, 0]
                spans[2] += 1
        if spans:
            warnings.warn(f"{self.source}: a value spans lines in {spans[2]:,} of {rows:,} rows, first from "
                          f"line {spans[0]} to {spans[1]}; {NO_QUOTES}", stacklevel=2)
        self._checked = rows

    def _parsed(self, roles: dict[str, str], parse) -> Iterator[pa.Table]:
        """What Arrow reads, once or in batches; `Again` if that need not be what the file says."""
        if self._checked == 0:
            yield pa.table({role: pa.array([], pa.string()) for role in roles})
            return
        if self._checked is None and self.dialect.escape is not None:
            raise Again
        with self._open() as text:
            if self.dialect.header:
                text.first_line()
            quotes = None
            if self.dialect.quote is not None and self._checked is None:
                quotes = text.seen = Quotes(self.dialect.quote, self.dialect.delimiter)
            rows = 0
            try:
                parsed = parse(text, **self._options(roles))
                for table in [parsed] if isinstance(parsed, pa.Table) else map(_as_table, parsed):
                    rows += len(table)
                    yield self._by_role(table, roles)
            except pa.ArrowInvalid as error:
                if self._checked is None:
                    raise Again from error
                raise ValueError(f"{self.source}: {error}") from error
        if self._checked is None and quotes is not None and self._may_differ(quotes, rows):
            raise Again
        if self._checked not in (None, rows):
            raise ValueError(f"{self.source}: read as {rows:,} rows and as {self._checked:,}: its quotes are "
                             f"not those of CSV; {NO_QUOTES}")

    def _options(self, roles: dict[str, str]) -> dict:
        places = dict.fromkeys(str(self.names.index(own)) for own in roles.values())
        text, few = pa.string(), pa.dictionary(pa.int32(), pa.string())
        types = {str(self.names.index(own)): few if role in ROLES[:3] else text
                 for role, own in reversed(roles.items())}
        dialect = self.dialect
        return {
            "read_options": pa.csv.ReadOptions(
                block_size=BLOCK, column_names=[*map(str, range(len(self.names)))]),
            "parse_options": pa.csv.ParseOptions(
                delimiter=dialect.delimiter, quote_char=dialect.quote or False,
                escape_char=dialect.escape or False, newlines_in_values=self._checked is not None),
            "convert_options": pa.csv.ConvertOptions(
                include_columns=list(places), column_types=types, null_values=[""], strings_can_be_null=True)}

    def _by_role(self, table: pa.Table, roles: dict[str, str]) -> pa.Table:
        return pa.table({role: table[str(self.names.index(own))] for role, own in roles.items()})

    def _may_differ(self, quotes: Quotes, rows: int) -> bool:
        quotes.end()
        if not quotes.any:
            return False
        *before, last = re.split(rb"[\r\n]", quotes.tail.rstrip(b"\r\n"))
        if quotes.odd or quotes.lines != rows or not before:
            return True
        try:  # each row is a line; only the last can be open
            return len(next(self.dialect.reader([last.decode(errors="surrogateescape")]))) != len(self.names)
        except csv.Error:
            return True

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """First line, last line and fields of each record, the header's too, that is not blank."""
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with self._open() as text:
                lines = io.TextIOWrapper(io.BufferedReader(text, BLOCK), "utf-8", errors="surrogateescape",
                                         newline="")
                reader = self.dialect.reader(lines)
                begun = False
                while True:
                    start = reader.line_num + 1
                    try:
                        fields = next(reader, None)
                    except csv.Error as error:
                        reason = ("the file ends inside quotes that begin in this row"
                                  if "unexpected end" in str(error) else error)
                        raise ValueError(f"{self.source}, line {start}: {reason}; {NO_QUOTES}") from error
                    if fields is None:
                        return
                    begun = begun or any(map(str.strip, fields))
                    if fields and begun:
                        yield start, reader.line_num, fields
        finally:
            csv.field_size_limit(limit)

    def _open(self) -> contextlib.AbstractContextManager[Text]:
        return open_text(self.source, self.dialect.encoding, self.dialect.separator)


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
