"""Which reader a log needs, and which of its columns are which."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pandas as pd

from vaerec.datasets.logs.delimited import Delimited, Dialect
from vaerec.datasets.logs.frames import Frame, ParquetFiles, require_columns
from vaerec.datasets.logs.objects import JsonObjects
from vaerec.datasets.logs.streams import Source, open_text

Table = Delimited | JsonObjects | ParquetFiles | Frame

SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t"}  # of the others the first line decides
TEXT = (*SEPARATORS, ".txt", ".dat", ".data")
JSON = (".json", ".jsonl", ".ndjson")
ENDINGS = (*TEXT, *JSON, ".parquet")
POSSIBLE = ("\t", "::", "|", ";", ",")
RECBOLE = {"user": "user_id", "item": "item_id"}


def is_log(source) -> bool:
    """Whether it is a table, or a path that a log can have."""
    if not isinstance(source, (str, os.PathLike)):
        return isinstance(source, pd.DataFrame) or hasattr(source, "__arrow_c_stream__")
    return isinstance(source, os.PathLike) or _ending(source) in (*ENDINGS, ".zip") or os.path.exists(source)


def open_table(source, *, what: str = "file or folder", separator: str | None = None, quote: str | None = '"',
               escape: str | None = None, encoding: str = "utf-8", header: bool = True,
               columns: list[str] | None = None) -> Table:
    """Open a log; see `vaerec.datasets.logs.load_log`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is of no known kind, or its first line cannot be read.
    """
    if not isinstance(source, (str, os.PathLike)):
        return Frame(source)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"no {what} {path.absolute()}")
    if path.is_dir():
        return ParquetFiles(path)
    file = _member(path) if path.suffix.lower() == ".zip" else path
    ending = _ending(file.name)
    if ending in JSON:
        return JsonObjects(file, encoding)
    if ending not in TEXT:
        return _parquet(path)
    if isinstance(columns, str):
        raise ValueError(f"columns={columns!r}: expected a list of names, as in columns=['user', 'item']")
    separator = separator or SEPARATORS.get(ending) or _separator(file, encoding)
    return Delimited(file, Dialect(separator, quote, escape, encoding, header and columns is None,
                                   None if columns is None else tuple(columns)))


def roles_of(table: Table, required: dict[str, str], optional: dict[str, str | None]) -> dict[str, str]:
    """What a column is to be called -> its name in the table; optional ones only if they are there.

    Raises
    ------
    ValueError
        A column is missing or there twice.
    """
    there = table.names
    if isinstance(table, Delimited) and table.typed:
        required = {role: RECBOLE[role] if name == role and role not in there and RECBOLE.get(role) in there
        else name
                    for role, name in required.items()}
    roles = required | {role: name or role for role, name in optional.items() if name or role in there}
    if isinstance(table, Delimited) and table.looks_like_data and not {*roles.values()} <= {*there}:
        raise ValueError(f"{table.source}: no column {next(n for n in roles.values() if n not in there)!r}, "
                         f"and its first line looks like data: {there}. No header line? Then give the names "
                         "in their order, as in columns=['user', 'item', 'rating', 'timestamp']")
    require_columns(roles, there, table.source, _advice(table, roles))
    return roles


def _advice(table: Table, roles: dict[str, str]) -> str:
    if isinstance(table, Frame) and isinstance(table.table, pd.DataFrame) and (
            {*table.table.index.names} & {*roles.values()}):
        return "The index has it: call reset_index() first. "
    if isinstance(table, Delimited):
        other = "If another separator is used, give separator=. " if len(table.names) == 1 else ""
        return f"{other}If there is no header line, give columns=. "
    return ""


def _ending(name: str | os.PathLike) -> str:
    return Path(os.fspath(name).lower().removesuffix(".gz")).suffix


def _member(path: Path) -> zipfile.Path:
    """The only table in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if _ending(info.filename) in (*TEXT, *JSON)
                      and not info.filename.startswith("__MACOSX/")]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is cut off or damaged ({error}): copy it again") from error
    if len(inside) != 1:
        raise ValueError(f"{path} holds {len(inside)} tables {[info.filename for info in inside][:5]}, "
                         "expected one: unpack it and name the one that is meant")
    if inside[0].flag_bits & 1:
        raise ValueError(f"{path} asks for a password: unpack it first")
    return zipfile.Path(path, inside[0].filename)


def _parquet(path: Path) -> ParquetFiles:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix.lower() != ".parquet" and start != b"PAR1":
        raise ValueError(f"{path}: expected a file that ends in {', '.join(ENDINGS)}, also packed as .gz or "
                         ".zip, or a folder of Parquet files")
    return ParquetFiles(path)


def _separator(source: Source, encoding: str) -> str:
    with open_text(source, encoding) as text:
        line = text.first_line().decode(errors="replace")
    if re.fullmatch(r"\d+:", line):
        raise ValueError(f"{source}: its first line is {line!r}, as in the files of the Netflix Prize: the "
                         "chapter on your own data has the lines of code that turn them into a table")
    there = [separator for separator in POSSIBLE if separator in line]
    if len(there) != 1 and line:
        raise ValueError(f"{source}: {line[:60]!r} does not tell what separates its fields: say it, as in "
                         "separator='\\t'")
    return there[0] if there else ","
