"""JSON: one object a line, or a list of objects."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator

import pyarrow as pa

from vaerec.datasets.logs.frames import ROWS
from vaerec.datasets.logs.streams import Source, open_text

LOOKED_AT = 10_000  # objects whose keys are the columns
ALIKE = ({str}, {int, float}, {bool})
EXPECTED = "expected one object a line, or a list of objects"


class JsonObjects:
    """Objects of a JSON file, gzip if its name ends in ``.gz``.

    Raises
    ------
    ValueError
        It is empty, cut off, or one of the first objects cannot be read: names its line.
    """

    untyped = False

    def __init__(self, source: Source, encoding: str = "utf-8"):
        self.source, self.encoding = source, encoding
        first = itertools.islice(self._objects(), LOOKED_AT)
        self.names = [*dict.fromkeys(key for _, one in first for key in one)]
        if not self.names:
            raise ValueError(f"{source} is empty: {EXPECTED}")

    def read(self, roles: dict[str, str]) -> pa.Table:
        """Columns by role (role -> name), with the types of their values.

        Raises
        ------
        ValueError
            A row cannot be read, or a column holds text and numbers: names the line.
        """
        tables = [*self.batches(roles)]
        for table in tables[1:]:
            for role in roles:
                kinds = {tables[0][role].type, table[role].type}
                if pa.string() in kinds and len(kinds - {pa.null()}) > 1:
                    raise ValueError(f"{self.source}: {role} is text in some rows and a number in others: "
                                     "expected one type")
        return pa.concat_tables(tables, promote_options="permissive")

    def batches(self, roles: dict[str, str]) -> Iterator[pa.Table]:
        """As `read`, piece by piece."""
        rows = self._objects()
        while some := [*itertools.islice(rows, ROWS)]:
            yield pa.table({role: self._column([(line, one.get(own)) for line, one in some], own)
                            for role, own in roles.items()})

    def row_name(self, row: int) -> str:
        """What errors call the row at a place, from 0: ``"log.jsonl, line 2"``."""
        return self._where(next(itertools.islice(self._objects(), row, None))[0])

    def _column(self, values: list[tuple], own: str) -> pa.Array:
        kinds = {type(value) for _, value in values} - {type(None)}
        if not any(kinds <= alike for alike in ALIKE):
            first = next(type(value) for _, value in values if value is not None)
            first = next((alike for alike in ALIKE if first in alike), set())
            line, value = next((line, value) for line, value in values
                               if value is not None and type(value) not in first)
            raise ValueError(f"{self._where(line)}: {own} is {value!r}: expected text, or numbers, like the "
                             "rows before it")
        column = [value for _, value in values]
        if kinds == {int} and max(map(abs, filter(None, column)), default=0) >= 2**63:
            return pa.array([None if value is None else str(value) for value in column], pa.string())
        return pa.array(column, pa.float64() if len(kinds) > 1 else None)

    def _where(self, line: int | str) -> str:
        return f"{self.source}, line {line}" if isinstance(line, int) else f"{self.source}, {line}"

    def _objects(self) -> Iterator[tuple[int | str, dict]]:
        """Line and content of each."""
        with open_text(self.source, self.encoding) as text:
            lines = io.TextIOWrapper(io.BufferedReader(text), "utf-8")
            try:
                for place, one in self._values(lines):
                    if not isinstance(one, dict):
                        raise ValueError(f"{self._where(place)}: {str(one)[:60]!r} is no object: {EXPECTED}")
                    yield place, one
            except UnicodeDecodeError as error:
                raise ValueError(f"{self.source} is not UTF-8: give encoding=, such as 'latin-1'") from error

    def _values(self, lines: io.TextIOWrapper) -> Iterator[tuple[int | str, object]]:
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.lstrip().startswith("["):
                for place, one in enumerate(self._parsed(line + lines.read(), 1), start=1):
                    yield f"entry {place}", one
                return
            if line.strip():
                yield number, self._parsed(line, number)

    def _parsed(self, text: str, line: int):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._where(line + error.lineno - 1)}: {error.msg}: {EXPECTED}") from error
